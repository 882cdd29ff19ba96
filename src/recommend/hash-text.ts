const offsetBasis = 0x811c9dc5

/** Returns 32 bits of FNV-1a over the characters of a text; another seed gives other bits. */
export function hashText(text: string, seed = offsetBasis): number {
  let hash = seed
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  }
  return hash | 0
}
