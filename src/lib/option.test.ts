import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { nearestName, type OptionSpec, parseOption } from './option.ts'

const says = 'Meaning.'

function takenValue(spec: Omit<OptionSpec, 'says'>, input: unknown): unknown {
  const parsed = parseOption({ ...spec, says }, input)
  return parsed.kind === 'value' ? parsed.value : parsed
}

function isTaken(spec: Omit<OptionSpec, 'says'>, input: unknown): boolean {
  return parseOption({ ...spec, says }, input).kind === 'value'
}

describe('the value of an option', () => {
  it('is a whole number within its bounds, as number or as digits', () => {
    const spec = { kind: 'integer', min: 1, max: 10 } as const
    assert.equal(takenValue(spec, 10), 10)
    assert.equal(takenValue(spec, '1'), 1)
    for (const input of [0, 11, 1.5, '1.5', '', ' 1', '1e1', '0x1', true, null, [1], Number.NaN]) {
      assert.equal(isTaken(spec, input), false, String(input))
    }
    assert.equal(isTaken({ kind: 'integer' }, -1), false)
    assert.equal(isTaken({ kind: 'integer', min: -5 }, '-5'), true)
  })

  it('is a time in ms, or with its unit', () => {
    const spec = { kind: 'durationMs', max: 86_400_000 } as const
    const known = { '250': 250, '250ms': 250, '10s': 10_000, '5m': 300_000, '2h': 7_200_000 }
    for (const [text, ms] of Object.entries(known)) assert.equal(takenValue(spec, text), ms)
    assert.equal(takenValue(spec, '1d'), 86_400_000)
    for (const input of ['2d', '1.5s', '-1', '1 s', '1w', 's', true]) {
      assert.equal(isTaken(spec, input), false, String(input))
    }
  })

  it('is true or false', () => {
    assert.equal(takenValue({ kind: 'boolean' }, 'true'), true)
    assert.equal(takenValue({ kind: 'boolean' }, false), false)
    for (const input of ['yes', '1', 1, '', null]) {
      assert.equal(isTaken({ kind: 'boolean' }, input), false, String(input))
    }
  })

  it('is a URL with one of the schemes and a host', () => {
    const spec = { kind: 'url', schemes: ['https', 'smtp'] } as const
    assert.equal(takenValue(spec, 'smtp://u:p@h:25'), 'smtp://u:p@h:25')
    for (const input of ['http://a.example', 'a.example', 'smtp:x', 'https://', '/x', 5]) {
      assert.equal(isTaken(spec, input), false, String(input))
    }
  })

  it('is an address that cannot carry a second header', () => {
    const spec = { kind: 'address' } as const
    for (const input of ['a@b.example', 'Shop <a@b.example>', '"Shop, Inc." <a+x@b.example>']) {
      assert.equal(takenValue(spec, input), input)
    }
    const bad = [
      'a',
      'a@',
      '@b',
      'a b@c.example',
      'a@b.example\r\nBcc: c@d.example',
      'a@b..example',
    ]
    bad.push(
      'a@b.example, c@d.example',
      'Shop <a@b.example> <c@d.example>',
      `${'a'.repeat(330)}@b.c`,
    )
    for (const input of bad) assert.equal(isTaken(spec, input), false, input)
  })

  it('is one of the choices of a text', () => {
    const spec = { kind: 'string', choices: ['red', 'blue'] } as const
    assert.equal(takenValue(spec, 'red'), 'red')
    assert.deepEqual(takenValue(spec, 'Red'), { kind: 'refused', says: 'must be one of red, blue' })
  })

  it('is refused without a throw, whatever is given', () => {
    const kinds = ['integer', 'string', 'boolean', 'url', 'address', 'path', 'durationMs'] as const
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.anything(), (kind, input) => {
        assert.ok(['value', 'refused'].includes(parseOption({ kind, says }, input).kind))
      }),
    )
  })
})

describe('the nearest name', () => {
  const known = ['server.port', 'server.publicUrl', 'delivery.smtpUrl']

  it('is the one with the fewest differences, if they are few', () => {
    assert.equal(nearestName('server.prot', known), 'server.port')
    assert.equal(nearestName('delivery.smtpurl', known), 'delivery.smtpUrl')
    assert.equal(nearestName('colour', known), undefined)
  })

  it('is the one with the same key when the section is missing or another', () => {
    assert.equal(nearestName('publicUrl', known), 'server.publicUrl')
    assert.equal(nearestName('collect.smtpUrl', known), 'delivery.smtpUrl')
  })
})
