import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type CsvDelimiter, columnCountMax, csvDelimiters, readCsvHeader } from './csv-record.ts'
import { createCsvReader } from './import-csv.ts'
import { type ImportRow, rowBytesMax } from './import-row.ts'
import { createRowMapper, plainMapping } from './row-mapping.ts'

const headerOf = (text: string | Buffer, delimiter?: CsvDelimiter) => {
  const head = Buffer.from(text as string)
  const header = readCsvHeader(head, true, delimiter)
  assert.equal(header.kind, 'header', JSON.stringify(header))
  return header as Extract<typeof header, { kind: 'header' }>
}

/** Reads `bytes` in pieces that end at `cuts`; columns keep their names, as properties. */
function readAll(bytes: Buffer, cuts: readonly number[] = []): readonly ImportRow[] {
  const header = headerOf(bytes)
  const mapping = {
    ...plainMapping,
    others: 'properties' as const,
    fixed: [
      [{ kind: 'root', name: 'userId' }, 'ada'],
      [{ kind: 'root', name: 'event' }, 'Seen'],
    ] as const,
  }
  const created = createRowMapper(header.columns, mapping)
  assert.equal(created.kind, 'mapper')
  const from = { offset: header.endOffset, line: 1 + header.lineCount }
  const mapper = (created as Extract<typeof created, { kind: 'mapper' }>).mapper
  const reader = createCsvReader({ identity: 'file', header, mapper, from })
  const places = [from.offset, ...cuts.filter((cut) => cut > from.offset), bytes.length]
  const ordered = [...new Set(places)].sort((left, right) => left - right)
  const rows: ImportRow[] = []
  for (const [index, place] of ordered.entries()) {
    const end = ordered[index + 1]
    if (end !== undefined) rows.push(...reader.push(bytes.subarray(place, end)))
  }
  return [...rows, ...reader.end()]
}

const propertiesOf = (row: ImportRow | undefined) =>
  row?.outcome.kind === 'events' ? row.outcome.items[0]?.['properties'] : row?.outcome

const saysOf = (row: ImportRow | undefined): string =>
  row?.outcome.kind === 'refused' ? row.outcome.says : `not refused: ${JSON.stringify(row)}`

describe('CSV', () => {
  it('reads quotes, doubled quotes, delimiters and line ends within quotes', () => {
    const rows = readAll(Buffer.from('a,b\n"x ""1"", y","two\r\nlines"\n,"end"\n'))
    assert.deepEqual(propertiesOf(rows[0]), { a: 'x "1", y', b: 'two\r\nlines' })
    assert.deepEqual(propertiesOf(rows[1]), { b: 'end' })
    assert.deepEqual(
      rows.map(({ line }) => line),
      [2, 4],
    )
  })

  it('reads records that end in LF, CRLF, CR, and not at all, in one file', () => {
    const rows = readAll(Buffer.from('a,b\r\n1,2\n3,4\r\n5,6\r7,8'))
    assert.deepEqual(rows.map(propertiesOf), [
      { a: '1', b: '2' },
      { a: '3', b: '4' },
      { a: '5', b: '6' },
      { a: '7', b: '8' },
    ])
  })

  it('passes over a byte order mark, and finds the delimiter', () => {
    for (const delimiter of csvDelimiters) {
      const header = headerOf(`\ufeffuser id${delimiter}"a${delimiter}b"${delimiter}c\n`)
      assert.deepEqual(header.columns, ['user id', `a${delimiter}b`, 'c'])
      assert.equal(header.delimiter, delimiter)
    }
    assert.deepEqual(headerOf('a;b,c\n', ',').columns, ['a;b', 'c'])
  })

  it('keeps text that is not ASCII, and refuses what is not UTF-8', () => {
    const bytes = Buffer.concat([Buffer.from('a,b\nM\u00fcller,\u{1f600}\n'), Buffer.from([0xff])])
    const rows = readAll(Buffer.concat([bytes, Buffer.from(',x\n')]))
    assert.deepEqual(propertiesOf(rows[0]), { a: 'M\u00fcller', b: '\u{1f600}' })
    assert.equal(saysOf(rows[1]), 'The row is not UTF-8.')
  })

  it('refuses a row with its line and goes on with the next one', () => {
    const rows = readAll(Buffer.from('a,b\n1,2,3\n5" pipe,x\n"x"y,z\n\n1,2\n'))
    assert.match(saysOf(rows[0]), /3 fields; the header has 2/)
    assert.match(saysOf(rows[1]), /A quote stands in a field/)
    assert.match(saysOf(rows[2]), /text behind a closing quote/)
    assert.deepEqual(rows[3]?.outcome, { kind: 'dropped', reason: 'blank' })
    assert.deepEqual(propertiesOf(rows[4]), { a: '1', b: '2' })
    assert.deepEqual(
      rows.map(({ line }) => line),
      [2, 3, 4, 5, 6],
    )
  })

  it('gives up one line for a quote that is never closed, and reads the rest', () => {
    const rows = readAll(Buffer.from('a,b\n"open,2\n3,4\n5,6\n'))
    assert.match(saysOf(rows[0]), /never closed/)
    assert.deepEqual(rows.slice(1).map(propertiesOf), [
      { a: '3', b: '4' },
      { a: '5', b: '6' },
    ])
  })

  it('passes over a row that is too long, in constant memory', () => {
    const long = 'x'.repeat(rowBytesMax * 3)
    const bytes = Buffer.from(`a,b\n1,${long}\n3,4\n"${long}\n5,6\n`)
    const cuts = Array.from({ length: 200 }, (_, index) => index * 8192)
    const rows = readAll(bytes, cuts)
    assert.match(saysOf(rows[0]), /more than 262144 bytes/)
    assert.deepEqual(propertiesOf(rows[1]), { a: '3', b: '4' })
    assert.equal(rows.at(-1)?.endOffset, bytes.length)
    assert.deepEqual(propertiesOf(rows.at(-1)), { a: '5', b: '6' })
  })

  it('refuses a file as a whole where its columns cannot be told apart', () => {
    const says = (bytes: Buffer): string => {
      const header = readCsvHeader(bytes, true)
      return header.kind === 'refused' ? header.says : 'not refused'
    }
    assert.match(says(Buffer.from('\ufeffa,b\n', 'utf16le')), /UTF-16/)
    assert.match(says(Buffer.from('a,b\n', 'utf16le')), /UTF-16/)
    assert.match(says(Buffer.from('a,b,a\n')), /Columns 1 and 3 have the same name: a/)
    assert.match(says(Buffer.from('a,,b\n')), /Column 2 has no name/)
    assert.match(says(Buffer.from('a,"b\n')), /never closed/)
    assert.match(says(Buffer.from([0x61, 0xff, 0x0a])), /not UTF-8/)
    const many = Array.from({ length: columnCountMax + 1 }, (_, index) => `c${index}`)
    assert.match(says(Buffer.from(many.join(','))), /more than 1000 fields/)
  })

  it('names every column that has no place', () => {
    const created = createRowMapper(['userId', 'Foo', 'properties.x', 'Bar'], plainMapping)
    assert.deepEqual(created, {
      kind: 'refused',
      faults: [
        'The column Foo has no place in an event.',
        'The column Bar has no place in an event.',
      ],
    })
  })

  it('gives back every table, however its bytes are cut', () => {
    const cell = fc.oneof(
      fc.constantFrom('', '"', '""', ',', '\n', '\r\n', '\r', 'a"b', ' x ', '\u00fc,"\n'),
      fc.string({ unit: 'binary', maxLength: 12 }),
    )
    const table = fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 6 })
    const cuts = fc.array(fc.nat(400), { maxLength: 8 })
    const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`
    const ends = fc.constantFrom('\n', '\r\n', '\r')
    fc.assert(
      fc.property(table, cuts, ends, (lines, places, end) => {
        const text = lines.map((cells) => cells.map(quoted).join(',') + end).join('')
        const bytes = Buffer.from(`a,b,c${end}${text}`)
        const expected = lines.map((cells) => {
          const named = ['a', 'b', 'c'].map((name, index) => [name, cells[index] ?? ''] as const)
          const entries = named.filter(([, value]) => value !== '')
          return entries.length === 0 ? undefined : Object.fromEntries(entries)
        })
        // What is no well-formed text cannot be written as UTF-8.
        fc.pre(lines.flat().every((text) => text.isWellFormed()))
        assert.deepEqual(readAll(bytes, places).map(propertiesOf), expected)
      }),
      { numRuns: 300 },
    )
  })

  it('ends every byte of anything in exactly one row, and never throws', () => {
    const piece = fc.constantFrom(
      '"',
      '""',
      ',',
      ';',
      '\n',
      '\r',
      '\r\n',
      'a',
      '\u00e9',
      '"x',
      '\0',
    )
    const anything = fc.array(piece, { maxLength: 80 })
    const cuts = fc.array(fc.nat(120), { maxLength: 6 })
    fc.assert(
      fc.property(anything, cuts, (pieces, places) => {
        const bytes = Buffer.from(`a,b\n${pieces.join('')}`)
        const whole = readAll(bytes)
        assert.deepEqual(readAll(bytes, places), whole)
        let at = 4
        let line = 2
        for (const row of whole) {
          assert.ok(row.endOffset > at, 'a row has bytes of its own')
          assert.ok(row.line >= line, 'lines only rise')
          at = row.endOffset
          line = row.line
        }
        assert.equal(at, bytes.length)
      }),
      { numRuns: 500 },
    )
  })
})
