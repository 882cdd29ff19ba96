import { createHmac, timingSafeEqual } from 'node:crypto'

const digestBytes = 32

/**
 * Tells whether `signature` is the HMAC-SHA256 of `signed` under one of `secrets`. Takes the same
 * time wherever they differ.
 */
export function isSignedBy(
  secrets: readonly string[],
  signed: readonly (string | Uint8Array)[],
  signature: Uint8Array | undefined,
): boolean {
  if (signature?.length !== digestBytes) return false
  let isFound = false
  for (const secret of secrets) {
    const hmac = createHmac('sha256', secret)
    for (const part of signed) hmac.update(part)
    if (timingSafeEqual(hmac.digest(), signature)) isFound = true
  }
  return isFound
}

/** Reads a digest written in hex or base 64, or in neither exactly: undefined. */
export function parseDigest(text: string, encoding: 'hex' | 'base64'): Uint8Array | undefined {
  const isHex = encoding === 'hex'
  const pattern = isHex ? /^[0-9a-fA-F]{64}$/ : /^[A-Za-z0-9+/]{43}=$/
  return pattern.test(text) ? Buffer.from(text, encoding) : undefined
}

/** Returns the value of a header that came once; undefined for none and for several. */
export function singleHeader(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
