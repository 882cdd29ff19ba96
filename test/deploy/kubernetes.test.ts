/**
 * The manifests under `deploy/kubernetes`: each overlay is rendered and checked against the schemas
 * of the oldest and the newest Kubernetes, strictly, and against the rules of the house; its config
 * is read as the server reads it. Objects of other projects (KEDA) have no schema here.
 *
 * Where kubectl is there, its own rendering must be the same. No other test depends on it.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments } from 'yaml'
import { type Manifest, renderFolder } from '../../scripts/deploy-render.ts'
import { kubernetesVersions } from '../../scripts/deploy-schemas.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { configFaults } from './deploy-config.ts'
import { rules, secretNames } from './manifest-rules.ts'
import { configOf, objectAt, ofKind, workloadsOf } from './manifest-view.ts'
import { foreignKinds, openKubernetesCheck } from './schema-check.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const overlaysFolder = join(root, 'deploy/kubernetes/overlays')
const overlays = readdirSync(overlaysFolder)
const renderOverlay = (name: string): readonly Manifest[] =>
  renderFolder(join(overlaysFolder, name))
const checks = kubernetesVersions.map((version) => [version, openKubernetesCheck(version)] as const)

/** Contents of the secrets' files, to read the config with. */
const secretFiles: Readonly<Record<string, string>> = {
  'redis-urls': 'rediss://attune:secret@redis.example:6379',
  'smtp-url': 'smtps://attune:secret@smtp.example:465',
}

it('there are the overlays that the guide speaks of', () => {
  assert.deepEqual(overlays.sort(), ['kafka-dynamodb', 'kafka-redis', 'single'])
})

for (const name of overlays) {
  describe(`overlay ${name}`, () => {
    const manifests = renderOverlay(name)

    for (const [version, check] of checks) {
      it(`is what Kubernetes ${version} takes`, () => {
        assert.deepEqual(manifests.flatMap(check), [])
      })
    }

    for (const [says, rule] of Object.entries(rules)) {
      it(says, () => assert.deepEqual(rule(manifests), []))
    }

    it('has a config that the server takes, with the environment of each pod', (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'attune-deploy-'))
      t.after(() => rmSync(folder, { recursive: true }))
      for (const { id, env } of workloadsOf(manifests)) {
        const files = Object.entries(env).map(([variable, path]) => {
          if (!variable.endsWith('_FILE')) return [variable, path]
          const copy = join(folder, path)
          mkdirSync(dirname(copy), { recursive: true })
          writeFileSync(copy, secretFiles[path.split('/').at(-1) ?? ''] ?? '')
          return [variable, copy]
        })
        const environment = Object.fromEntries(files) as Record<string, string>
        assert.deepEqual(configFaults(configOf(manifests), environment), [], id)
      }
    })

    it('is rendered by kubectl in the same way', (t) => {
      const run = spawnSync('kubectl', ['kustomize', join(overlaysFolder, name)], {
        encoding: 'utf8',
      })
      if (run.error !== undefined) {
        t.diagnostic('kubectl is not here; the renderer of the tests was not compared with it')
        return
      }
      assert.equal(run.status, 0, run.stderr)
      const documents = parseAllDocuments(run.stdout, { version: '1.1' })
      const theirs = documents.map((document) => document.toJS() as Manifest)
      const byId = (list: readonly Manifest[]): Record<string, Manifest> =>
        Object.fromEntries(list.map((each) => [`${each.kind} ${each.metadata.name}`, each]))
      assert.deepEqual(byId(manifests), byId(theirs))
    })
  })
}

it('the guide names each secret, and each metric of it is there', () => {
  const guide = readFileSync(join(root, 'docs/guide/kubernetes.md'), 'utf8')
  for (const name of secretNames) assert.ok(guide.includes(`\`${name}\``), name)
  const metrics = readFileSync(join(root, 'docs/reference/metrics.md'), 'utf8')
  const named = new Set(guide.match(/\battune_[a-z_]+/g))
  assert.ok(named.size > 5, 'the guide says what to watch')
  for (const name of named) assert.ok(metrics.includes(`\`${name}\``), `${name} is no metric`)
})

it('only objects of other projects are taken without a schema', () => {
  const foreign = overlays
    .flatMap(renderOverlay)
    .filter(({ apiVersion, kind }) => foreignKinds.includes(`${apiVersion}/${kind}`))
  assert.deepEqual(
    foreign.map(({ apiVersion }) => apiVersion),
    ['keda.sh/v1alpha1'],
  )
})

/** Broken copies of kafka-redis: what is changed, where, and what must be said against it. */
const breaks: readonly (readonly [string, string, (target: Target) => void, RegExp])[] = [
  [
    'a mistyped field',
    'Deployment',
    ({ container }) => set(container, 'livenesProbe', {}),
    /additional properties livenesProbe/,
  ],
  [
    'a port as text',
    'Deployment',
    ({ container }) => set(container, 'ports', [{ containerPort: '8080' }]),
    /containerPort: must be integer/,
  ],
  [
    'a field set to nothing',
    'Deployment',
    ({ pod }) => set(pod, 'volumes', null),
    /volumes: must be array/,
  ],
  [
    'a selector that is missing',
    'Deployment',
    ({ spec }) => Reflect.deleteProperty(spec, 'selector'),
    /required property 'selector'/,
  ],
  [
    'a kind that is not there',
    'Ingress',
    ({ manifest }) => set(manifest, 'kind', 'Ingres'),
    /is no kind of/,
  ],
  [
    'a container as root',
    'Deployment',
    ({ pod }) => set(pod, 'securityContext', { runAsUser: 0 }),
    /runAsNonRoot is not true.*runAsUser/s,
  ],
  [
    'a root folder that can be written',
    'Deployment',
    ({ container }) => set(container, 'securityContext', {}),
    /readOnlyRootFilesystem/,
  ],
  [
    'no probe',
    'Deployment',
    ({ container }) => Reflect.deleteProperty(container, 'livenessProbe'),
    /livenessProbe is not/,
  ],
  [
    'liveness that asks the stores',
    'Deployment',
    ({ container }) =>
      set(container, 'livenessProbe', { httpGet: { path: '/readyz', port: 'http' } }),
    /livenessProbe is not/,
  ],
  [
    'no requests',
    'Deployment',
    ({ container }) => set(container, 'resources', { limits: { memory: '2Gi' } }),
    /requests no CPU/,
  ],
  [
    'a limit on CPU',
    'Deployment',
    ({ container }) => set(container, 'resources', { limits: { cpu: '1' } }),
    /limit on CPU/,
  ],
  [
    'a heap as large as the limit',
    'Deployment',
    ({ container }) =>
      set(container, 'resources', {
        requests: { cpu: '1', memory: '1Mi' },
        limits: { memory: '300Mi' },
      }),
    /heap leaves no room/,
  ],
  [
    'too short a stop',
    'Deployment',
    ({ pod }) => set(pod, 'terminationGracePeriodSeconds', 12),
    /12 is below/,
  ],
  [
    'no pause before the stop',
    'Deployment',
    ({ container }) => Reflect.deleteProperty(container, 'lifecycle'),
    /does not wait in preStop/,
  ],
  [
    'another name of the config',
    'Deployment',
    ({ pod }) => set(pod, 'volumes', [{ name: 'config', configMap: { name: 'attune-config' } }]),
    /no ConfigMap attune-config/,
  ],
  [
    'a secret that nobody makes',
    'Deployment',
    ({ pod }) => set(pod, 'volumes', [{ name: 'secrets', secret: { secretName: 'other' } }]),
    /no secret other/,
  ],
  [
    'a mount that is missing',
    'Deployment',
    ({ container }) => set(container, 'volumeMounts', []),
    /ATTUNE_CONFIG is not mounted/,
  ],
  [
    'another label of the pods',
    'Deployment',
    ({ manifest }) => set(objectAt(manifest, 'spec.template.metadata'), 'labels', {}),
    /selects 0 workloads/,
  ],
  [
    'replicas beside a scaler',
    'Deployment',
    ({ spec }) => set(spec, 'replicas', 3),
    /sets replicas itself/,
  ],
  [
    'a budget for nobody',
    'PodDisruptionBudget',
    ({ spec }) => set(spec, 'selector', { matchLabels: { a: 'b' } }),
    /selects 0/,
  ],
  [
    'a service for all',
    'Service',
    ({ spec }) => set(spec, 'selector', { 'app.kubernetes.io/name': 'attune' }),
    /selects 3/,
  ],
  [
    'a scaler of nobody',
    'HorizontalPodAutoscaler',
    ({ spec }) => set(spec, 'scaleTargetRef', { kind: 'Deployment', name: 'x' }),
    /has 0 scalers.*no Deployment x/s,
  ],
  [
    'a metric that is not there',
    'HorizontalPodAutoscaler',
    ({ spec }) =>
      set(spec, 'metrics', [{ type: 'Pods', pods: { metric: { name: 'attune_lag' } } }]),
    /attune_lag is no metric/,
  ],
  [
    'no policies',
    'NetworkPolicy',
    ({ spec }) => set(spec, 'podSelector', { matchLabels: { a: 'b' } }),
    /selects nothing/,
  ],
  [
    'another host',
    'Ingress',
    ({ spec }) => set(spec, 'tls', [{ hosts: ['other.example'] }]),
    /other.example is not the host/,
  ],
  [
    'a path that leads nowhere',
    'Ingress',
    ({ spec }) =>
      set(objectAt(spec, 'rules.0'), 'http', { paths: [{ path: '/metrics', backend: {} }] }),
    /leads to no service.*shows \/metrics/s,
  ],
  [
    'an account that is missing',
    'ServiceAccount',
    ({ manifest }) => set(manifest.metadata, 'name', 'x'),
    /has no account/,
  ],
]

interface Target {
  readonly manifest: Manifest
  readonly spec: JsonObject
  readonly pod: JsonObject
  readonly container: JsonObject
}

function set(object: object, field: string, value: unknown): void {
  Reflect.set(object, field, value)
}

describe('a broken manifest is refused for the right reason', () => {
  const whole = renderOverlay('kafka-redis')
  for (const [what, kind, breakIt, says] of breaks) {
    it(what, () => {
      const copy = structuredClone(whole)
      for (const manifest of ofKind(copy, kind)) {
        breakIt({
          manifest,
          spec: objectAt(manifest, 'spec'),
          pod: objectAt(manifest, 'spec.template.spec'),
          container: objectAt(manifest, 'spec.template.spec.containers.0'),
        })
      }
      const faults = [
        ...checks.flatMap(([, check]) => copy.flatMap(check)),
        ...Object.values(rules).flatMap((rule) => rule(copy)),
      ]
      assert.match(faults.join('\n'), says)
    })
  }

  it('an option that nobody knows, and one out of bounds', () => {
    const config = configOf(whole)
    const mistyped = config.replace('"stopMsMax": 10000', '"stopMs": 1')
    assert.match(configFaults(mistyped, {}).join('\n'), /server\.stopMs/)
    const wrong = config.replace('10000', '-1')
    assert.match(configFaults(wrong, {}).join('\n'), /server\.stopMsMax = -1/)
    const plain = config.replace('https://', 'http://')
    assert.match(configFaults(plain, {}).join('\n'), /publicUrl/)
    assert.match(configFaults(config, { ATTUNE_API_SERVICE_HOST: 'x' }).join('\n'), /is no option/)
  })
})

it('the renderer refuses a field that it does not know', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-deploy-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'kustomization.yaml'), 'kind: Kustomization\nnamePrefix: a-\n')
  assert.throws(() => renderFolder(folder), /namePrefix is a field that this renderer knows/)
})
