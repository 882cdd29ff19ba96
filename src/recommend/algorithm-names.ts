/** In the order in which a blend asks them. */
export const algorithmNames = [
  'session-neighbours',
  'sequential-rules',
  'co-visitation',
  'two-steps',
  'revisit',
  'bought-together',
  'repeat-purchase',
  'similar-content',
  'trending',
] as const
export type AlgorithmName = (typeof algorithmNames)[number]
