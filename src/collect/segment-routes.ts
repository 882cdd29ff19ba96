import { type EventType, eventTypes } from '../event/event.ts'

export type SegmentRoute = { readonly isBackfill: boolean } & (
  | { readonly kind: 'single'; readonly type: EventType }
  | { readonly kind: 'batch' }
)

/** By path. */
export const segmentRoutes: ReadonlyMap<string, SegmentRoute> = new Map<string, SegmentRoute>([
  ...eventTypes.flatMap((type): [string, SegmentRoute][] => {
    const route: SegmentRoute = { kind: 'single', type, isBackfill: false }
    const paths = [`/v1/${type}`, `/api/s/${type}`, `/api/s/s2s/${type}`]
    return [...paths, `/v1/${type.charAt(0)}`].map((path) => [path, route])
  }),
  ['/v1/batch', { kind: 'batch', isBackfill: false }],
  ['/v1/b', { kind: 'batch', isBackfill: false }],
  ['/v1/import', { kind: 'batch', isBackfill: true }],
])
