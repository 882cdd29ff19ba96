import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { defaultEventLimits } from '../event/event-limits.ts'
import { identifyFile, identityBytesMax, rowEventId } from './import-id.ts'
import { createEventLineReader } from './import-ndjson.ts'
import { refusedItem } from './import-row.ts'

describe('the identity of a file', () => {
  it('is its first record, whatever comes behind it and however its line ends', () => {
    const log = identifyFile(Buffer.from('one\ntwo\n'), 1, false)
    assert.equal(identifyFile(Buffer.from('one\r\nthree'), 1, false), log)
    assert.notEqual(identifyFile(Buffer.from('two\none\n'), 1, false), log)
    const csv = identifyFile(Buffer.from('a,b\n1,2\n3,4\n'), 2, false)
    assert.equal(identifyFile(Buffer.from('a,b\n1,2\n5,6\n'), 2, false), csv)
    assert.notEqual(identifyFile(Buffer.from('a,b\n3,4\n'), 2, false), csv)
  })

  it('is not known before the record is whole, unless there is no more', () => {
    assert.equal(identifyFile(Buffer.from('on'), 1, false), undefined)
    assert.equal(identifyFile(Buffer.from('a,b\n1,'), 2, false), undefined)
    assert.equal(
      identifyFile(Buffer.from('one'), 1, true),
      identifyFile(Buffer.from('one\n'), 1, true),
    )
    const long = Buffer.alloc(identityBytesMax + 10, 'x')
    assert.notEqual(identifyFile(long, 1, false), undefined)
  })
})

describe('the id of a row', () => {
  it('tells equal lines of one file apart, and is a text that the collector takes', () => {
    const first = rowEventId('file', 0, 'line')
    assert.equal(rowEventId('file', 0, 'line'), first)
    assert.notEqual(rowEventId('file', 5, 'line'), first)
    assert.notEqual(rowEventId('other', 0, 'line'), first)
    assert.match(first, /^imp_[\w-]{24}$/)
  })
})

describe('a line that holds an event', () => {
  const readLine = createEventLineReader('file', defaultEventLimits)
  const itemsOf = (line: string) => {
    const outcome = readLine(line, 0)
    return outcome.kind === 'events' ? outcome.items : outcome
  }

  it('keeps its own id and type, and gets what is missing', () => {
    assert.deepEqual(itemsOf('{"type":"page","messageId":"m1"}'), [
      { type: 'page', messageId: 'm1' },
    ])
    const id = rowEventId('file', 0, '{"event":"Seen"}')
    assert.deepEqual(itemsOf('{"event":"Seen"}'), [{ event: 'Seen', type: 'track', messageId: id }])
  })

  it('is refused where it is no event, has no readable time, or is nested too deep', () => {
    const saysOf = (line: string): string => {
      const outcome = readLine(line, 0)
      return outcome.kind === 'refused' ? `${outcome.path}|${outcome.says}` : 'not refused'
    }
    assert.match(saysOf('{"a":'), /^\|The line is no JSON object/)
    assert.match(saysOf('"text"'), /^\|The line is no JSON object/)
    assert.match(saysOf('{"timestamp":"yesterday"}'), /^\/timestamp\|/)
    const deep = `{"properties":${'['.repeat(9000)}${']'.repeat(9000)}}`
    assert.match(saysOf(deep), /Nested more than 20 levels/)
    assert.equal(saysOf('\u00ef\u00bb\u00bf{"event":"x"}'), 'not refused')
  })

  it('is kept with its place where it is refused, also where it is not text', () => {
    const place = { file: 'a.ndjson', line: 3 }
    const plain = refusedItem({ path: '', says: 'no', text: 'caf\u00c3\u00a9' }, place)
    assert.equal(plain['text'], 'caf\u00e9')
    assert.equal(plain['line'], 3)
    const binary = refusedItem({ path: '', says: 'no', text: '\u0000\u00ff' }, place)
    assert.equal(binary['base64'], 'AP8=')
  })
})
