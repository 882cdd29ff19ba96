import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto'

const textEncoder = new TextEncoder()

/** Returns the SHA-256 of `input` as 64 hex digits. */
export function sha256Hex(input: string | Uint8Array): string {
  return hash('sha256', input, 'hex')
}

/**
 * Returns the SHA-256 of `input` as a text of one character a byte: a Buffer for it takes longer to
 * make than the hash.
 */
export function sha256Binary(input: string | Uint8Array): string {
  return hash('sha256', input, 'binary')
}

/** Returns the first `countBytes` bytes of the SHA-256 of `input`. */
export function sha256Bytes(input: string | Uint8Array, countBytes: number): Uint8Array {
  const digest = sha256Binary(input)
  const bytes = new Uint8Array(countBytes)
  for (let at = 0; at < countBytes; at++) bytes[at] = digest.charCodeAt(at)
  return bytes
}

/**
 * Returns an id of 22 URL-safe characters (128 bits) that depends on all `parts` and on where one
 * ends.
 */
export function hashId(...parts: readonly string[]): string {
  return hash('sha256', parts.map((part) => `${part.length}:${part}`).join(''), 'base64url').slice(
    0,
    22,
  )
}

/**
 * Making a key of raw bytes takes longer than the HMAC itself. A secret is not changed in place.
 */
const keys = new WeakMap<Uint8Array, KeyObject>()

function keyOf(secret: Uint8Array): KeyObject {
  const known = keys.get(secret)
  if (known !== undefined) return known
  const made = createSecretKey(secret)
  keys.set(secret, made)
  return made
}

/** Returns HMAC-SHA256 over `input`, cut to `countBytes`, in URL-safe base 64. */
export function hmacBase64Url(secret: Uint8Array, input: string, countBytes: number): string {
  return createHmac('sha256', keyOf(secret))
    .update(input)
    .digest()
    .subarray(0, countBytes)
    .toString('base64url')
}

/** Compares two secrets in time that does not depend on where they differ. */
export function isSameSecret(left: string, right: string): boolean {
  return timingSafeEqual(
    createHmac('sha256', 'compare').update(left).digest(),
    createHmac('sha256', 'compare').update(right).digest(),
  )
}

/** Longest UTF-8 of one UTF-16 unit. */
const bytesPerUnitMax = 3
/** Keys are short and hashed several times for an event: their bytes go to the same place. */
const scratch = new Uint8Array(1024)

/**
 * Returns the 32-bit MurmurHash3 (x86, seed 0; Austin Appleby, public domain) of the UTF-8 bytes of
 * `text`.
 */
export function murmur3(text: string): number {
  const isShort = text.length * bytesPerUnitMax <= scratch.length
  if (isShort) return murmur3Bytes(scratch, textEncoder.encodeInto(text, scratch).written)
  const bytes = textEncoder.encode(text)
  return murmur3Bytes(bytes, bytes.length)
}

function murmur3Bytes(bytes: Uint8Array, length: number): number {
  const blockEnd = length - (length % 4)
  let state = 0
  for (let at = 0; at < blockEnd; at += 4) {
    const block =
      (bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)
    state ^= mixBlock(block)
    state = (state << 13) | (state >>> 19)
    state = (Math.imul(state, 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let at = length - 1; at >= blockEnd; at--) tail = (tail << 8) | (bytes[at] ?? 0)
  if (blockEnd < length) state ^= mixBlock(tail)
  state ^= length
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35)
  return (state ^ (state >>> 16)) >>> 0
}

function mixBlock(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}

/**
 * Returns the lower 48 bits of cyrb53 (bryc, public domain) over the UTF-16 units of `text`: some
 * tens of ns for a short id, where 32 bits are too few to tell a million items apart.
 */
export function cyrb48(text: string): number {
  let low = 0xdeadbeef
  let high = 0x41c6ce57
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    low = Math.imul(low ^ unit, 0x9e3779b1)
    high = Math.imul(high ^ unit, 0x5f356495)
  }
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ Math.imul(high ^ (high >>> 13), 0xc2b2ae35)
  high = Math.imul(high ^ (high >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35)
  return (high & 0xffff) * 2 ** 32 + (low >>> 0)
}
