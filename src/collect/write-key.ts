/** The write key of a request: in its headers, as one of Segment's clients puts it there. */

import type { IncomingMessage } from 'node:http'

/** What the headers of Basic authorization say, as they came: the same few come all the time. */
export type BasicKeys = Map<string, string | undefined>
const basicKeyCountMax = 1_000

export function writeKeyOfHeaders(
  { headers }: IncomingMessage,
  basicKeys: BasicKeys,
): string | undefined {
  const { authorization } = headers
  if (authorization !== undefined) {
    if (!basicKeys.has(authorization)) {
      if (basicKeys.size >= basicKeyCountMax) basicKeys.clear()
      basicKeys.set(authorization, writeKeyOfBasic(authorization))
    }
    const basic = basicKeys.get(authorization)
    if (basic !== undefined) return basic
  }
  const header = headers['x-write-key']
  return typeof header === 'string' && header !== '' ? header.replace(/:$/, '') : undefined
}

function writeKeyOfBasic(authorization: string): string | undefined {
  const basic = /^basic +([\w+/=-]+) *$/i.exec(authorization)?.[1]
  if (basic === undefined) return undefined
  const pair = Buffer.from(basic, 'base64').toString('utf8')
  // A write key may hold a colon itself (Jitsu's do), so only the last one, before no password,
  // is cut.
  return pair.endsWith(':') ? pair.slice(0, -1) : pair
}
