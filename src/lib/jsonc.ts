/**
 * JSON with comments and trailing commas. Comments become spaces, so that the line and column of a
 * fault are those of the text. A fault does not quote the text, since it may hold a secret. Two
 * values for one name are a fault.
 */

import { type Document, LineCounter, parseDocument } from 'yaml'

export type ParsedJsonc =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'refused'; readonly says: string }

/** A text (group 1), or a comment. */
const tokens = /("(?:[^"\\\n]|\\.)*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g

export function parseJsonc(text: string): ParsedJsonc {
  const plain = text.replace(tokens, (token: string, literal: string | undefined) =>
    literal === undefined ? token.replace(/[^\n]/g, ' ') : token,
  )
  const lines = new LineCounter()
  // JSON is a part of YAML, and this parser knows places; the one of the language does not always.
  const document = parseDocument(plain, { lineCounter: lines, prettyErrors: false })
  const fault = document.errors[0]
  if (fault === undefined && !plain.trimStart().startsWith('{')) {
    return { kind: 'refused', says: 'is not an object in braces' }
  }
  if (fault === undefined) return plainValue(document)
  const place = lines.linePos(fault.pos[0])
  const what = fault.code === 'DUPLICATE_KEY' ? 'gives one name twice' : 'is not JSON'
  return { kind: 'refused', says: `${what} at line ${place.line}, column ${place.col}` }
}

function plainValue(document: Document): ParsedJsonc {
  try {
    return { kind: 'value', value: document.toJS({ maxAliasCount: 0 }) }
  } catch {
    // The one way to get here is an alias of YAML, which can blow up a small text.
    return { kind: 'refused', says: 'uses an alias, which JSON does not have' }
  }
}
