/**
 * `compose.yaml`: against the schema of the Compose Specification, and the rules of the house. No
 * engine runs here; what runs in the containers of Attune is shown by `image.test.ts`.
 */

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import type { JsonObject } from '../../src/lib/json.ts'
import { configFaults, configValue } from './deploy-config.ts'
import { at, bytesOf, objectAt, textAt } from './manifest-view.ts'
import { openComposeCheck } from './schema-check.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const text = readFileSync(join(root, 'compose.yaml'), 'utf8')
const compose = parse(text, { merge: true }) as JsonObject
const services = Object.entries(objectAt(compose, 'services')) as [string, JsonObject][]
const roles = ['collect', 'api', 'work']
const configFile = readFileSync(join(root, textAt(compose, 'configs.attune.file')), 'utf8')

/** Returns what is wrong with a service, by the rules of the house. */
function serviceFaults(name: string, service: JsonObject): readonly string[] {
  const isRole = roles.includes(name)
  const isOnce = at(service, 'restart') === undefined
  const ports = (at(service, 'ports') ?? []) as readonly string[]
  const mounts = (at(service, 'volumes') ?? []) as readonly string[]
  const volumes = objectAt(compose, 'volumes')
  const rules: readonly (readonly [boolean, string])[] = [
    [!/:\d[\w.-]*$/.test(textAt(service, 'image')), 'has an image without a version'],
    [textAt(service, 'cap_drop') !== 'ALL', 'keeps capabilities'],
    [textAt(service, 'security_opt') !== 'no-new-privileges:true', 'may gain rights'],
    [isRole && service['read_only'] !== true, 'may write to its image'],
    [!isOnce && !(memoryOf(service) > 0), 'has no bound on memory'],
    [!isOnce && !isRole && !('healthcheck' in service), 'has no health check'],
    [ports.some((port) => !port.startsWith('127.0.0.1:')), 'is open to the network'],
    [ports.length > 0 && !textAt(service, 'networks').includes('front'), 'cannot be reached'],
    [
      mounts.some((mount) => {
        const source = mount.split(':')[0] ?? ''
        return !(source.startsWith('.') ? existsSync(join(root, source)) : source in volumes)
      }),
      'mounts what is not there',
    ],
  ]
  return rules.filter(([isBroken]) => isBroken).map(([, says]) => says)
}

function memoryOf(service: JsonObject): number {
  const written = textAt(service, 'mem_limit')
  return bytesOf(written.replace(/m$/, 'Mi').replace(/g$/, 'Gi'))
}

describe('compose.yaml', () => {
  const check = openComposeCheck()

  it('is what the Compose Specification has', () => assert.deepEqual(check(compose), []))

  for (const [name, service] of services) {
    it(`${name}: has the least rights, a bound, and what it mounts`, () => {
      assert.deepEqual(serviceFaults(name, service), [])
    })

    it(`${name}: waits for services that there are, for what they can reach`, () => {
      for (const [other, { condition }] of Object.entries(
        objectAt(service, 'depends_on') as Record<string, JsonObject>,
      )) {
        const target = services.find(([each]) => each === other)?.[1]
        assert.ok(target !== undefined, other)
        const isOnce = target['restart'] === undefined
        assert.equal(condition, isOnce ? 'service_completed_successfully' : 'service_healthy')
      }
    })
  }

  it('is refused where it is wrong', () => {
    const broken = { ...compose, services: { a: { image: 'a', healthchek: {} } } }
    assert.match(check(broken).join('\n'), /unevaluated properties healthchek/)
    const service = { image: 'redis', restart: 'always', ports: ['6379:6379'], volumes: ['x:/y'] }
    const says = [
      'version',
      'capabilities',
      'rights',
      'memory',
      'health',
      'open',
      'reached',
      'not there',
    ]
    const faults = serviceFaults('redis', service)
    assert.equal(faults.length, says.length)
    for (const [index, word] of says.entries()) assert.ok(faults[index]?.includes(word), word)
  })
})

describe('Attune in compose', () => {
  for (const [name, service] of services.filter(([each]) => roles.includes(each))) {
    it(`${name}: has a config that the server takes, on each store`, () => {
      for (const kind of ['redis', 'dynamodb']) {
        const variables = objectAt(service, 'environment') as Record<string, string>
        const environment = Object.fromEntries(
          Object.entries(variables).map(([key, value]) => [
            key,
            value.replace(/\$\{ATTUNE_STATE:-redis\}/, kind),
          ]),
        )
        assert.deepEqual(configFaults(configFile, environment), [])
      }
    })

    it(`${name}: runs its role, with a heap below its bound and time to stop`, () => {
      assert.deepEqual(service['command'], ['start', '--role', name])
      const heap = /=(\d+)$/.exec(textAt(service, 'environment.NODE_OPTIONS'))?.[1]
      assert.ok(Number(heap) * 2 ** 20 <= memoryOf(service) / 2)
      const stopMs = Number(configValue(configFile, 'server.stopMsMax') ?? 10_000)
      assert.ok(Number.parseInt(textAt(service, 'stop_grace_period'), 10) * 1000 > stopMs)
    })
  }

  it('finds the stores under the names that the config has, and they have no way out', () => {
    const hosts = [
      configValue(configFile, 'kafka.brokers'),
      configValue(configFile, 'redis.urls'),
      configValue(configFile, 'dynamodb.endpoint'),
    ].map((address) => /^(?:\w+:\/\/)?([\w-]+):\d+$/.exec(String(address))?.[1])
    assert.deepEqual(hosts, ['kafka', 'redis', 'dynamodb'])
    assert.equal(at(compose, 'networks.stores.internal'), true)
    for (const host of hosts) {
      const service = services.find(([name]) => name === host)?.[1]
      assert.deepEqual(service?.['networks'], ['stores'])
    }
  })

  it('makes topics, tables and secrets once, before a role starts', () => {
    const init = objectAt(compose, 'services.init')
    const work = objectAt(compose, 'services.work')
    assert.equal(at(init, 'restart'), undefined)
    // Without the config it would make a log on the disk, without the network nothing elsewhere.
    const command = at(init, 'command') as readonly string[]
    const flag = (name: string): string | undefined => command[command.indexOf(name) + 1]
    assert.equal(command[0], 'init')
    assert.equal(flag('--config'), textAt(init, 'configs.0.target'))
    assert.equal(textAt(init, 'configs.0.source'), textAt(work, 'configs.0.source'))
    assert.equal(textAt(init, 'networks'), 'stores')
    const variables = objectAt(init, 'environment')
    for (const [name, value] of Object.entries(variables)) {
      assert.equal(at(work, `environment.${name}`), value, name)
    }
    assert.ok('ATTUNE_STATE__KIND' in variables && 'AWS_SECRET_ACCESS_KEY' in variables)
    // The roles read the secrets from where it writes them.
    const secrets = `keys:${flag('--data-dir')}`
    assert.deepEqual(at(init, 'volumes'), [secrets])
    for (const role of roles) {
      const { init: waits } = objectAt(compose, `services.${role}.depends_on`)
      assert.deepEqual(waits, { condition: 'service_completed_successfully' })
      const mounts = at(compose, `services.${role}.volumes`) as readonly string[]
      assert.ok(mounts.includes(`keys:${configValue(configFile, 'server.dataDir')}:ro`))
    }
    // It waits for those in which it makes something; one of them is there with its profile alone.
    assert.deepEqual(at(init, 'depends_on'), {
      kafka: { condition: 'service_healthy' },
      dynamodb: { condition: 'service_healthy', required: false },
    })
    assert.deepEqual(at(compose, 'services.dynamodb.profiles'), ['dynamodb'])
  })

  it('makes topics that one broker can hold, and no broker makes any by itself', () => {
    const copies = ['replicationFactor', 'minInSyncReplicas'] as const
    for (const name of copies) assert.equal(configValue(configFile, `kafka.${name}`), 1, name)
    const broker = objectAt(compose, 'services.kafka.environment')
    assert.equal(broker['KAFKA_AUTO_CREATE_TOPICS_ENABLE'], 'false')
  })
})
