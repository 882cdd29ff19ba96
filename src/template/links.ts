/**
 * Tokens of click, open and unsubscribe links: `v1.<key id>.<payload>.<mac>`.
 *
 * The payload is our opaque message id and, for clicks, `~` and the link's index; it holds no
 * personal data. The MAC (HMAC-SHA256, 128 bits) covers version, purpose, key id and payload, so
 * that a token of one purpose is worth nothing for another. Destinations are looked up by (message
 * id, index) and are never in a URL.
 */

import { assert } from '../lib/assert.ts'
import { isSameSecret, sha256Bytes } from '../lib/hash.ts'

const version = 'v1'
const macBytes = 16
/** Of SHA-256 and HMAC. */
const blockBytes = 64
const hashBytes = 32
const innerPad = 0x36
const outerPad = 0x5c
const tokenCharactersMax = 120
/** A token with the longest purpose instead of its MAC is shorter. */
const macTextCharactersMax = 200
const keyIdPattern = /^[A-Za-z0-9_-]{1,16}$/
const messageIdPattern = /^[A-Za-z0-9_-]{1,40}$/

/** Longest unsubscribe URL: some receivers cut or refuse longer ones. */
export const unsubscribeUrlCharactersMax = 200

/** Keys by their id; old ones stay so that links already sent keep their meaning. */
export interface SigningKeys {
  readonly currentId: string
  readonly keys: ReadonlyMap<string, Uint8Array>
}

export type LinkPurpose = 'click' | 'open' | 'unsubscribe'

export interface LinkClaim {
  readonly purpose: LinkPurpose
  readonly messageId: string
  /** Which link of the message was clicked. Absent for opens and unsubscribes. */
  readonly index?: number
}

export interface ParsedToken {
  readonly messageId: string
  readonly index: number
}

/**
 * Returns a token under the current key. The caller has checked the message id with `isMessageId`.
 */
export function signToken(keys: SigningKeys, claim: LinkClaim): string {
  const secret = keys.keys.get(keys.currentId)
  assert(secret !== undefined, 'the current signing key exists')
  assert(keyIdPattern.test(keys.currentId), 'a signing key id is short and URL-safe')
  assert(isMessageId(claim.messageId), 'a message id is short and URL-safe')
  const payload = claim.index === undefined ? claim.messageId : `${claim.messageId}~${claim.index}`
  const mac = macOf(secret, claim.purpose, keys.currentId, payload)
  return `${version}.${keys.currentId}.${payload}.${mac}`
}

/**
 * Returns what a token of this purpose says (index 0 where it has none), or undefined for any
 * other text.
 */
export function parseToken(
  keys: SigningKeys,
  purpose: LinkPurpose,
  token: string,
): ParsedToken | undefined {
  if (token.length > tokenCharactersMax) return undefined
  const parts = token.split('.')
  const [tokenVersion, keyId, payload, mac] = parts
  if (parts.length !== 4 || tokenVersion !== version) return undefined
  if (keyId === undefined || payload === undefined || mac === undefined) return undefined
  const secret = keys.keys.get(keyId)
  if (secret === undefined) return undefined
  if (!isSameSecret(mac, macOf(secret, purpose, keyId, payload))) return undefined
  const [messageId = '', index = '0'] = payload.split('~')
  return { messageId, index: Number(index) }
}

/** Tells whether `text` can be put into a token as a message id. */
export function isMessageId(text: string): boolean {
  return messageIdPattern.test(text)
}

/**
 * HMAC-SHA256 (RFC 2104) by two plain hashes: for these short texts node's `createHmac` spends ten
 * times as long on key objects as on hashing, and a message has some twenty tokens.
 */
function macOf(secret: Uint8Array, purpose: LinkPurpose, keyId: string, payload: string): string {
  const { inner, outer } = padded(secret)
  const text = `${version}\n${purpose}\n${keyId}\n${payload}`
  assert(text.length <= macTextCharactersMax, 'what is signed is short')
  const textBytes = inner.write(text, blockBytes, 'latin1')
  outer.set(sha256Bytes(inner.subarray(0, blockBytes + textBytes), hashBytes), blockBytes)
  return Buffer.from(sha256Bytes(outer, macBytes)).toString('base64url')
}

/** The two blocks that the key is mixed into, with room for what is hashed behind it. */
interface Padded {
  readonly inner: Buffer
  readonly outer: Buffer
}

/** A secret is not changed in place. */
const paddedKeys = new WeakMap<Uint8Array, Padded>()

function padded(secret: Uint8Array): Padded {
  const known = paddedKeys.get(secret)
  if (known !== undefined) return known
  assert(secret.length >= 16 && secret.length <= blockBytes, 'a signing key has 16 to 64 bytes')
  const inner = Buffer.alloc(blockBytes + macTextCharactersMax, innerPad)
  const outer = Buffer.alloc(blockBytes + hashBytes, outerPad)
  for (let at = 0; at < secret.length; at++) {
    inner[at] = (secret[at] ?? 0) ^ innerPad
    outer[at] = (secret[at] ?? 0) ^ outerPad
  }
  const made = { inner, outer }
  paddedKeys.set(secret, made)
  return made
}
