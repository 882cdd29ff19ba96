import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { OptionTable } from './option.ts'
import { type ConfigInput, describeFaults, parseConfig, variableOf } from './parse-config.ts'

const table = {
  'server.port': { kind: 'integer', default: 8_080, min: 0, max: 65_535, says: 'Port.' },
  'server.dataDir': { kind: 'path', default: '.attune', says: 'Folder.' },
  'server.stopMsMax': { kind: 'durationMs', default: 10_000, min: 1, says: 'Time.' },
  'relay.url': { kind: 'url', schemes: ['smtp'], isSecret: true, says: 'Relay.' },
  isQuiet: { kind: 'boolean', default: false, says: 'Quiet.' },
} as const satisfies OptionTable

type Input = Partial<Omit<ConfigInput<typeof table>, 'table'>>

function parse(input: Input = {}) {
  return parseConfig({ table, environment: {}, ...input })
}

function faultsOf(input: Input): readonly string[] {
  const parsed = parse(input)
  assert.ok(parsed.kind === 'refused', 'the input was taken')
  return describeFaults(parsed.faults).split('\n')
}

function aFile(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'attune-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'secret'), text)
  return join(folder, 'secret')
}

describe('parsing a configuration', () => {
  it('takes flags over the environment over the file over the defaults, and says which', () => {
    const parsed = parse({
      file: '{ "server": { "port": 1, "dataDir": "file", "stopMsMax": "3s" } } // end',
      environment: { ATTUNE_SERVER__PORT: '2', ATTUNE_SERVER__DATA_DIR: 'env', HOME: '/root' },
      flags: { 'server.port': '3', isQuiet: undefined },
    })
    assert.ok(parsed.kind === 'config')
    assert.deepEqual(parsed.values, {
      'server.port': 3,
      'server.dataDir': 'env',
      'server.stopMsMax': 3_000,
      'relay.url': undefined,
      isQuiet: false,
    })
    assert.deepEqual(parsed.sources, {
      'server.port': 'flag',
      'server.dataDir': 'environment',
      'server.stopMsMax': 'file',
      'relay.url': 'default',
      isQuiet: 'default',
    })
  })

  it('tells all faults at once, with name, value and bound', () => {
    const faults = faultsOf({
      file: '{ "server": { "port": 70000, "stopMsMax": "soon" }, "isQuiet": 1 }',
      environment: { ATTUNE_SERVER__DATA_DIR: '' },
      flags: { 'server.port': 'x' },
    })
    assert.deepEqual(faults, [
      'server.port = 70000: must be 0 to 65535',
      'server.stopMsMax = "soon": must be a time such as 250, "250ms", "10s" or "5m", 1 ms or more',
      'isQuiet = 1: must be true or false',
      'ATTUNE_SERVER__DATA_DIR = "": must be text that is not empty',
      '--server.port = "x": must be a whole number, 0 to 65535',
    ])
  })

  it('refuses names it does not know, and offers the one that is meant', () => {
    const faults = faultsOf({
      file: '{ "server": { "prot": 1, "__proto__": 2 }, "sever": {}, "port": 5, "colour": "red" }',
      environment: { ATTUNE_SERVER_PORT: '1', ATTUNE_ODD: 'x' },
      flags: { 'server.datadir': 'x' },
    })
    assert.deepEqual(faults, [
      'server.prot = 1: is no option; did you mean server.port?',
      'server.__proto__ = 2: is no option',
      'sever = (not shown): is no option',
      'port = 5: is no option; did you mean server.port?',
      'colour = (not shown): is no option',
      'ATTUNE_SERVER_PORT = (not shown): is no option; did you mean ATTUNE_SERVER__PORT?',
      'ATTUNE_ODD = (not shown): is no option',
      '--server.datadir = (not shown): is no option; did you mean server.dataDir?',
    ])
    assert.equal(
      parse({ environment: { ATTUNE_ODD: 'x' }, otherVariables: ['ATTUNE_ODD'] }).kind,
      'config',
    )
  })

  it('reads a secret from the file that a variable names, and never shows it', (t) => {
    const path = aFile(t, 'smtp://user:hunter2@relay.example\n')
    const parsed = parse({ environment: { ATTUNE_RELAY__URL_FILE: path } })
    assert.ok(parsed.kind === 'config')
    assert.equal(parsed.values['relay.url'], 'smtp://user:hunter2@relay.example')

    const bad = aFile(t, 'http://user:hunter2@relay.example')
    const faults = faultsOf({ environment: { ATTUNE_RELAY__URL_FILE: bad } })
    assert.deepEqual(faults, ['ATTUNE_RELAY__URL_FILE = (secret): must begin with smtp://'])
  })

  it('refuses a secret given twice or unreadable, and a file for what is no secret', () => {
    assert.match(
      faultsOf({
        environment: { ATTUNE_RELAY__URL_FILE: '/x', ATTUNE_RELAY__URL: 'smtp://a.example' },
      })[0] ?? '',
      /give one of the two/,
    )
    assert.match(
      faultsOf({ environment: { ATTUNE_RELAY__URL_FILE: '/nowhere/at/all' } })[0] ?? '',
      /cannot be read \(ENOENT\)/,
    )
    assert.match(
      faultsOf({ environment: { ATTUNE_SERVER__PORT_FILE: '/x' } })[0] ?? '',
      /is no option/,
    )
  })

  it('tells the place of a fault in the file without quoting it', () => {
    assert.deepEqual(faultsOf({ file: '{\n  // said\n  "relay" "hunter2" }' }), [
      'the configuration file = (not shown): is not JSON at line 3, column 11',
    ])
    assert.match(faultsOf({ file: '[1]' })[0] ?? '', /is not an object/)
    assert.match(faultsOf({ file: '{ "isQuiet": true, "isQuiet": false }' })[0] ?? '', /twice/)
    assert.match(faultsOf({ file: '{ "server": 3 }' })[0] ?? '', /is a section/)
  })

  it('asks for the relations between options, beside all other faults', () => {
    const relations = () => [{ name: 'server.port', value: '8080', says: 'must differ' }]
    assert.equal(faultsOf({ relations, flags: { isQuiet: 'maybe' } }).length, 2)
  })

  it('names variables in capitals, sections apart by two underscores', () => {
    assert.equal(variableOf('server.dataDir'), 'ATTUNE_SERVER__DATA_DIR')
    assert.equal(variableOf('logLevel'), 'ATTUNE_LOG_LEVEL')
  })
})
