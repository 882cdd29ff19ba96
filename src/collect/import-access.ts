import type { AccessEvent } from './access-event.ts'
import type { AccessRequest, ParsedAccess } from './access-log.ts'
import { rowEventId } from './import-id.ts'
import type { ReadLine } from './import-lines.ts'
import { refuseRow } from './import-row.ts'

/** Reads the lines of an access log by what parses them and what they mean. */
export function createAccessLineReader(
  identity: string,
  parse: (line: string) => ParsedAccess,
  readEvent: (request: AccessRequest, eventId: string) => AccessEvent,
): ReadLine {
  return (line, offset) => {
    const parsed = parse(line)
    if (parsed.kind === 'refused') return refuseRow(line, parsed.path, parsed.says)
    const event = readEvent(parsed.request, rowEventId(identity, offset, line))
    if (event.kind === 'dropped') return event
    return { kind: 'events', items: [event.item] }
  }
}
