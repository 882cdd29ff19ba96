import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type ParsedList, parseListFile } from './list-file.ts'

const keyCountMax = 4

describe('parseListFile', () => {
  it('takes ids by column, each once, and passes over other columns', () => {
    const text =
      'User_Id,name,anonymous_id,key\r\nada,"Ada, L.",,\nbob,B,phone,user:ada\n\n,,,user:cy\n'
    assert.deepEqual(parse(text), {
      kind: 'list',
      keys: ['user:ada', 'user:bob', 'anonymous:phone', 'user:cy'],
    })
  })

  it('takes none of it where a row is wrong, and names each', () => {
    const rows = ['user_id;key', 'ada;', 'null;', ';', ';email:a', 'x"y;', `${'a'.repeat(201)};`]
    const parsed = parse(rows.join('\n'))
    assert.deepEqual(parsed.kind === 'refused' && parsed.faults.map(({ path }) => path), [
      'line 3',
      'line 4',
      'line 5',
      'line 6',
      'line 7',
    ])
  })

  it('refuses a file without a column of ids, with too many keys, or of no text', () => {
    const says = (parsed: ParsedList): string =>
      parsed.kind === 'refused' ? (parsed.faults[0]?.says ?? '') : parsed.kind
    assert.match(says(parse('email\na@b.example\n')), /must name a column/)
    assert.match(says(parse('user_id\na\nb\nc\nd\ne\n')), /at most 4 keys/)
    assert.match(says(parseListFile(new Uint8Array([0xff, 0xfe, 0x61]), 3)), /UTF-16/)
    assert.match(says(parse('')), /./)
  })

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const head = Buffer.from('user_id\n')
        for (const file of [bytes, Buffer.concat([head, bytes])]) {
          const parsed = parseListFile(file, 3)
          assert.ok(parsed.kind === 'list' || parsed.faults.length > 0)
        }
      }),
    )
  })
})

function parse(text: string): ParsedList {
  return parseListFile(Buffer.from(text), keyCountMax)
}
