import { type EventLimits, findLimitFault } from '../event/event-limits.ts'
import { parseTimeMs } from '../event/event-time.ts'
import { pointerOf } from '../event/parse-event.ts'
import { isJsonObject } from '../lib/json.ts'
import { parseJsonLine } from './access-json.ts'
import { rowEventId } from './import-id.ts'
import type { ReadLine } from './import-lines.ts'
import { decodeBytes, refuseRow } from './import-row.ts'

/** Text with fewer brackets cannot be nested so deep that it cannot be written as JSON again. */
const bracketCountMax = 500

/** Reads a line that holds an event in the form of Segment's calls; `type` is track if missing. */
export function createEventLineReader(identity: string, limits: EventLimits): ReadLine {
  return (line, offset) => {
    const bare = line.startsWith('\u00ef\u00bb\u00bf') ? line.slice(3) : line
    const text = decodeBytes(bare)
    if (text === undefined) return refuseRow(line, '', 'The line is not UTF-8.')
    const value = parseJsonLine(text)
    if (!isJsonObject(value)) return refuseRow(line, '', 'The line is no JSON object.')
    if (isDeep(text)) {
      const fault = findLimitFault(value, limits)
      if (fault !== undefined) return refuseRow(line, pointerOf(fault.path), fault.says)
    }
    const time = value['timestamp'] ?? value['originalTimestamp'] ?? ''
    if (time !== '' && parseTimeMs(time) === undefined) {
      return refuseRow(line, '/timestamp', 'The time cannot be read.')
    }
    const messageId = value['messageId'] ?? ''
    const id = messageId === '' ? { messageId: rowEventId(identity, offset, line) } : {}
    const type = value['type'] === undefined ? { type: 'track' } : {}
    return { kind: 'events', items: [{ ...value, ...type, ...id }] }
  }
}

function isDeep(text: string): boolean {
  let count = 0
  for (let at = 0; at < text.length && count < bracketCountMax; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5b || code === 0x7b) count++
  }
  return count >= bracketCountMax
}
