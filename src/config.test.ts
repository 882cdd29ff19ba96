import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { parseServerConfig, serverTable } from './config.ts'

const fileOf = (name: string) => readFileSync(new URL(`../config/${name}`, import.meta.url), 'utf8')

describe('the configuration of the server', () => {
  it('has a default for all that it needs to start', () => {
    const parsed = parseServerConfig({ environment: {} })
    assert.ok(parsed.kind === 'config')
    assert.equal(parsed.values['server.port'], 8_080)
    assert.equal(parsed.values['server.host'], '127.0.0.1')
    assert.equal(parsed.values['server.publicUrl'], undefined)
    assert.equal(Object.isFrozen(parsed.values), true)
  })

  it('loads the minimal file', () => {
    const parsed = parseServerConfig({ file: fileOf('minimal.jsonc'), environment: {} })
    assert.ok(parsed.kind === 'config', JSON.stringify(parsed))
    assert.equal(parsed.values['delivery.from'], 'Shop <news@shop.example>')
    assert.equal(parsed.sources['delivery.from'], 'file')
  })

  it('loads an example for each setting of many machines', () => {
    const shared = (choices: readonly string[]) => choices.filter((one) => one !== 'sqlite')
    const examples = shared(serverTable['log.kind'].choices).flatMap((log) =>
      shared(serverTable['state.kind'].choices).map((state) => `${log}-${state}.jsonc`),
    )
    const names = readdirSync(new URL('../config/', import.meta.url))
    assert.deepEqual(names.sort(), [...examples, 'minimal.jsonc', 'reference.jsonc'].sort())
    for (const name of examples) {
      const parsed = parseServerConfig({ file: fileOf(name), environment: {} })
      assert.ok(parsed.kind === 'config', `${name}: ${JSON.stringify(parsed)}`)
      const { 'log.kind': log, 'state.kind': state } = parsed.values
      assert.equal(name, `${log}-${state}.jsonc`)
    }
  })

  it('says what a kind of store needs, and which kinds go together', () => {
    const faultsOf = (flags: Record<string, string>) => {
      const parsed = parseServerConfig({ environment: {}, flags })
      return parsed.kind === 'config' ? [] : parsed.faults.map(({ name }) => name)
    }
    const kafka = { 'log.kind': 'kafka', 'kafka.brokers': 'a:1' }
    assert.deepEqual(faultsOf({ 'log.kind': 'kafka' }), ['kafka.brokers', 'state.kind'])
    assert.deepEqual(faultsOf({ ...kafka, 'state.kind': 'redis' }), ['redis.urls'])
    const both = { ...kafka, 'state.kind': 'dynamodb-redis' }
    assert.deepEqual(faultsOf(both), ['redis.urls', 'dynamodb.region'])
    assert.deepEqual(faultsOf({ 'server.role': 'work' }), ['server.role'])
    const signed = { ...kafka, 'state.kind': 'redis', 'redis.urls': 'redis://a' }
    assert.deepEqual(faultsOf(signed), [])
    assert.deepEqual(faultsOf({ ...signed, 'kafka.saslMechanism': 'PLAIN' }), [
      'kafka.saslUsername',
      'kafka.saslPassword',
    ])
  })

  it('loads the reference file, which is the defaults', () => {
    const parsed = parseServerConfig({ file: fileOf('reference.jsonc'), environment: {} })
    const defaults = parseServerConfig({ environment: {} })
    assert.ok(parsed.kind === 'config' && defaults.kind === 'config', JSON.stringify(parsed))
    assert.deepEqual(parsed.values, defaults.values)
  })

  it('accepts http for the public URL only on this machine, and only an origin', () => {
    const kindOf = (publicUrl: string) =>
      parseServerConfig({ environment: {}, flags: { 'server.publicUrl': publicUrl } }).kind
    const accepted = [
      'https://a.example',
      'http://localhost:8080',
      'http://127.0.0.1:1',
      'http://[::1]',
    ]
    const refused = ['http://a.example', 'http://127.0.0.1.a.example', 'https://a.example/x']
    refused.push('https://u:p@a.example', 'https://a.example?x', 'ftp://a.example', 'a.example')
    for (const url of accepted) assert.equal(kindOf(url), 'config', url)
    for (const url of refused) assert.equal(kindOf(url), 'refused', url)
  })

  it('refuses an event size above the size of a request', () => {
    const flags = { 'collect.eventBytesMax': 65_536, 'collect.batchBytesMax': 32_768 }
    const parsed = parseServerConfig({ environment: {}, flags })
    assert.ok(parsed.kind === 'refused')
    assert.deepEqual(
      parsed.faults.map((fault) => fault.says),
      ['must be at most collect.batchBytesMax (32768)'],
    )
  })

  it('says each option in one sentence, with a default that its own bounds accept', () => {
    for (const [name, spec] of Object.entries(serverTable)) {
      assert.match(spec.says, /^[A-Z].*\.$/, name)
      if (!('default' in spec)) continue
      const parsed = parseServerConfig({ environment: {}, flags: { [name]: spec.default } })
      assert.equal(parsed.kind, 'config', name)
    }
  })
})
