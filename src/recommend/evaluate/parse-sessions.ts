/**
 * Parses session files: one session per line, item ids in order, with blanks, tabs or commas
 * between. Takes the text in pieces of any length and keeps no line whole, so that a session
 * without end costs no more than one of `sessionItemCountMax` items; what was left out is counted.
 */

import { assert } from '../../lib/assert.ts'

export type Session = readonly string[]

export interface ParsedSessions {
  readonly sessions: readonly Session[]
  readonly eventCount: number
  readonly emptyLineCount: number
  /** Sessions of which only the first `sessionItemCountMax` items were taken: robots, mostly. */
  readonly longSessionCount: number
  /** Ids longer than `itemIdCharactersMax`, left out. */
  readonly longIdCount: number
  /** Whether the file went on behind `eventCountMax`. */
  readonly isCut: boolean
}

export const sessionItemCountMax = 1_000
export const itemIdCharactersMax = 200
export const eventCountMax = 50_000_000

export class SessionParser {
  readonly #eventCountMax: number
  readonly #ids = new Map<string, string>()
  readonly #sessions: string[][] = []
  #session: string[] = []
  #itemCount = 0
  /** The id that is being read; it may go on in the next piece. */
  #id = ''
  #isIdLong = false
  #hasText = false
  #eventCount = 0
  #emptyLineCount = 0
  #longSessionCount = 0
  #longIdCount = 0
  #isCut = false

  constructor(limit = eventCountMax) {
    assert(limit >= 1, 'a file has room for an event')
    this.#eventCountMax = limit
  }

  /** Whether more text would be left out anyway. */
  get isFull(): boolean {
    return this.#isCut
  }

  push(text: string): void {
    let start = 0
    for (let at = 0; at < text.length && !this.#isCut; at++) {
      const code = text.charCodeAt(at)
      // Tab, line feed, carriage return, blank, comma.
      if (code > 44 || (code !== 32 && code !== 10 && code !== 9 && code !== 13 && code !== 44)) {
        continue
      }
      this.#take(text.slice(start, at))
      this.#endId()
      if (code === 10) this.#endLine()
      start = at + 1
    }
    if (!this.#isCut) this.#take(text.slice(start))
  }

  end(): ParsedSessions {
    this.#endId()
    if (this.#hasText) this.#endLine()
    return {
      sessions: this.#sessions,
      eventCount: this.#eventCount,
      emptyLineCount: this.#emptyLineCount,
      longSessionCount: this.#longSessionCount,
      longIdCount: this.#longIdCount,
      isCut: this.#isCut,
    }
  }

  #take(part: string): void {
    if (part === '') return
    this.#hasText = true
    if (this.#isIdLong || this.#id.length + part.length > itemIdCharactersMax) {
      this.#isIdLong = true
      this.#id = ''
    } else this.#id += part
  }

  #endId(): void {
    if (this.#isIdLong) this.#longIdCount += 1
    else if (this.#id !== '') this.#keep(this.#id)
    this.#isIdLong = false
    this.#id = ''
  }

  /** Keeps one text for all events of an item. */
  #keep(text: string): void {
    this.#itemCount += 1
    if (this.#session.length >= sessionItemCountMax) return
    if (this.#eventCount >= this.#eventCountMax) {
      this.#isCut = true
      return
    }
    const known = this.#ids.get(text)
    if (known === undefined) this.#ids.set(text, text)
    this.#session.push(known ?? text)
    this.#eventCount += 1
  }

  #endLine(): void {
    if (this.#session.length === 0) this.#emptyLineCount += 1
    else this.#sessions.push(this.#session)
    if (this.#itemCount > sessionItemCountMax) this.#longSessionCount += 1
    this.#session = []
    this.#itemCount = 0
    this.#hasText = false
  }
}
