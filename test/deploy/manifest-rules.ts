/**
 * What must hold between the manifests, and no schema says. Each rule is a function of all objects
 * of an overlay, so that the test can run it on the real ones and on a broken copy.
 */

import type { Manifest } from '../../scripts/deploy-render.ts'
import { serverTable } from '../../src/config.ts'
import type { Json, JsonObject } from '../../src/lib/json.ts'
import { metricTable } from '../../src/lib/metrics.ts'
import { configValue } from './deploy-config.ts'
import {
  at,
  bytesOf,
  configOf,
  idOf,
  isSelected,
  objectAt,
  objectsAt,
  ofKind,
  textAt,
  type Workload,
  workloadsOf,
} from './manifest-view.ts'

export type Rule = (manifests: readonly Manifest[]) => readonly string[]

/** Secrets that the operator makes; the guide tells how. */
export const secretNames: readonly string[] = ['attune-secrets', 'attune-smtp', 'attune-tls']
/** What a stop needs beyond the server's own bound. */
const stopSpareSeconds = 5
/** Of the memory limit: the rest is for buffers, caches and the program itself. */
const heapShareMax = 0.5

const perWorkload =
  (rule: (workload: Workload, all: readonly Manifest[]) => readonly (string | false)[]): Rule =>
  (manifests) =>
    workloadsOf(manifests).flatMap((workload) =>
      rule(workload, manifests)
        .filter((says) => says !== false)
        .map((says) => `${workload.id}: ${says}`),
    )

/** Pairs of path and value that the least rights come to. */
const leastRights: readonly (readonly [string, Json])[] = [
  ['automountServiceAccountToken', false],
  ['enableServiceLinks', false],
  ['securityContext.runAsNonRoot', true],
  ['securityContext.seccompProfile.type', 'RuntimeDefault'],
  ['containers.0.securityContext.allowPrivilegeEscalation', false],
  ['containers.0.securityContext.privileged', false],
  ['containers.0.securityContext.readOnlyRootFilesystem', true],
  ['containers.0.securityContext.capabilities.drop.0', 'ALL'],
]

export const rules: Readonly<Record<string, Rule>> = {
  'a pod has the least rights': perWorkload(({ pod }) => [
    ...leastRights.map(
      ([path, value]) => at(pod, path) !== value && `${path} is not ${JSON.stringify(value)}`,
    ),
    !(Number(at(pod, 'securityContext.runAsUser')) > 0) && 'runAsUser is not a number above 0',
    objectsAt(pod, 'containers').length !== 1 && 'has not one container',
    ['hostNetwork', 'hostPID', 'hostIPC'].some((name) => name in pod) && 'shares the host',
  ]),

  'a container is probed: alive without its stores, ready with them': perWorkload(
    ({ container }) => [
      ...(
        [
          ['startupProbe', '/healthz'],
          ['livenessProbe', '/healthz'],
          ['readinessProbe', '/readyz'],
        ] as const
      ).map(([name, path]) => {
        const probe = objectAt(container, `${name}.httpGet`)
        return (probe['path'] !== path || probe['port'] !== 'http') && `${name} is not ${path}`
      }),
      textAt(container, 'ports.0.name') !== 'http' && 'has no port named http',
      at(container, 'ports.0.containerPort') !== serverTable['server.port'].default &&
        'its port is not that of server.port',
    ],
  ),

  'resources: requests, a memory limit above the heap, no limit on CPU': perWorkload(
    ({ container, env }) => {
      const limit = bytesOf(textAt(container, 'resources.limits.memory'))
      const heapMib = Number(/--max-old-space-size=(\d+)$/.exec(env['NODE_OPTIONS'] ?? '')?.[1])
      return [
        at(container, 'resources.requests.cpu') === undefined && 'requests no CPU',
        !(bytesOf(textAt(container, 'resources.requests.memory')) <= limit) &&
          'requests no memory, or more than its limit',
        at(container, 'resources.limits.cpu') !== undefined && 'has a limit on CPU',
        !(heapMib * 2 ** 20 <= limit * heapShareMax) && 'its heap leaves no room below the limit',
      ]
    },
  ),

  'a pod has time to stop': perWorkload(({ pod, container }, all) => {
    const given = configValue(configOf(all), 'server.stopMsMax')
    const stopMs = Number(given ?? serverTable['server.stopMsMax'].default)
    const pause = Number(at(container, 'lifecycle.preStop.sleep.seconds') ?? 0)
    const grace = Number(at(pod, 'terminationGracePeriodSeconds') ?? 30)
    const isServing = !(at(container, 'args') as readonly Json[]).includes('work')
    const needed = pause + stopMs / 1000 + stopSpareSeconds
    return [
      grace < needed && `terminationGracePeriodSeconds ${grace} is below ${needed}`,
      isServing && pause < 5 && 'does not wait in preStop until endpoints have drained',
    ]
  }),

  'a volume that is mounted is there, and so is what it is made of': perWorkload(
    ({ pod, spec, mounts }, all) => {
      const volumes = objectsAt(pod, 'volumes')
      const claims = objectsAt(spec, 'volumeClaimTemplates')
      const names = [...volumes, ...claims.map((each) => objectAt(each, 'metadata'))].map((each) =>
        textAt(each, 'name'),
      )
      const maps = ofKind(all, 'ConfigMap').map((each) => each.metadata.name)
      return [
        ...mounts.map(
          (each) => !names.includes(textAt(each, 'name')) && `no volume ${textAt(each, 'name')}`,
        ),
        ...names.map(
          (name) => !mounts.some((each) => each['name'] === name) && `${name} is not mounted`,
        ),
        ...volumes.map((each) => {
          const name = textAt(each, 'configMap.name')
          return 'configMap' in each && !maps.includes(name) && `no ConfigMap ${name}`
        }),
        ...volumes.map((each) => {
          const name = textAt(each, 'secret.secretName')
          return 'secret' in each && !secretNames.includes(name) && `no secret ${name}`
        }),
        ...volumes.map(
          (each) =>
            'emptyDir' in each && !at(each, 'emptyDir.sizeLimit') && `${each['name']} has no bound`,
        ),
      ]
    },
  ),

  'files and folders that the server is told of are mounted': perWorkload(
    ({ mounts, env }, all) => {
      const mountOf = (path: string): JsonObject | undefined =>
        mounts.find((each) => `${path}/`.startsWith(`${textAt(each, 'mountPath')}/`))
      const config = configOf(all)
      const files = Object.entries(env).filter(([name]) => /_FILE$|^ATTUNE_CONFIG$/.test(name))
      const dataDir = String(configValue(config, 'server.dataDir'))
      const mount = mountOf(dataDir)
      // With the log elsewhere, only secrets.json and keys.json are read from it.
      const isRead = configValue(config, 'log.kind') === 'kafka'
      return [
        ...files.map(
          ([name, path]) => mountOf(path)?.['readOnly'] !== true && `${name} is not mounted`,
        ),
        mount === undefined && 'server.dataDir is not mounted',
        !isRead && mount?.['readOnly'] !== undefined && 'server.dataDir cannot be written',
        isRead && mount?.['name'] !== 'secrets' && 'server.dataDir is not the secrets',
      ]
    },
  ),

  'a selector meets the pods that it means': (manifests) => {
    const workloads = workloadsOf(manifests)
    const meets = (selector: JsonObject): readonly Workload[] =>
      workloads.filter(({ labels }) => isSelected(labels, selector))
    const own = workloads
      .filter(({ labels, spec }) => !isSelected(labels, objectAt(spec, 'selector')))
      .map(({ id }) => `${id}: does not select its own pods`)
    const one = [
      ...ofKind(manifests, 'Service').map(
        (each) => [each, { matchLabels: objectAt(each, 'spec.selector') }] as const,
      ),
      ...ofKind(manifests, 'PodDisruptionBudget').map(
        (each) => [each, objectAt(each, 'spec.selector')] as const,
      ),
    ]
    const others = one
      .filter(([, selector]) => meets(selector).length !== 1)
      .map(([each, selector]) => `${idOf(each)}: selects ${meets(selector).length} workloads`)
    const policies = ofKind(manifests, 'NetworkPolicy')
      .filter((each) => meets(objectAt(each, 'spec.podSelector')).length === 0)
      .map((each) => `${idOf(each)}: selects nothing`)
    return [...own, ...others, ...policies]
  },

  'each pod is under a policy for both directions': (manifests) =>
    workloadsOf(manifests).flatMap(({ id, labels }) => {
      const over = ofKind(manifests, 'NetworkPolicy').filter((each) =>
        isSelected(labels, objectAt(each, 'spec.podSelector')),
      )
      const types = over.flatMap((each) => at(each, 'spec.policyTypes') as readonly Json[])
      return ['Ingress', 'Egress']
        .filter((type) => !types.includes(type))
        .map((type) => `${id}: no policy of ${type}`)
    }),

  'a Deployment is scaled by one scaler, and only by it': (manifests) =>
    workloadsOf(manifests).flatMap(({ id, manifest, spec }) => {
      const scalers = ofKind(manifests, 'HorizontalPodAutoscaler', 'ScaledObject').filter(
        (each) => textAt(each, 'spec.scaleTargetRef.name') === manifest.metadata.name,
      )
      if (manifest.kind === 'StatefulSet') {
        return spec['replicas'] === 1 && scalers.length === 0 ? [] : [`${id}: is not one pod`]
      }
      const faults = scalers.length === 1 ? [] : [`${id}: has ${scalers.length} scalers`]
      return 'replicas' in spec ? [...faults, `${id}: sets replicas itself`] : faults
    }),

  'a scaler names what there is': (manifests) =>
    ofKind(manifests, 'HorizontalPodAutoscaler', 'ScaledObject').flatMap((each) => {
      const target = textAt(each, 'spec.scaleTargetRef.name')
      const isThere = workloadsOf(manifests).some(
        ({ manifest }) => manifest.metadata.name === target,
      )
      const metrics = objectsAt(each, 'spec.metrics')
        .map((metric) => textAt(metric, 'pods.metric.name'))
        .filter((name) => name !== '' && !Object.hasOwn(metricTable, name))
        .map((name) => `${idOf(each)}: ${name} is no metric`)
      const brokers = objectsAt(each, 'spec.triggers').map((trigger) =>
        textAt(trigger, 'metadata.bootstrapServers'),
      )
      const known = configValue(configOf(manifests), 'kafka.brokers')
      return [
        ...(isThere ? [] : [`${idOf(each)}: no Deployment ${target}`]),
        ...metrics,
        ...brokers
          .filter((name) => name !== known)
          .map((name) => `${idOf(each)}: ${name} is not kafka.brokers`),
      ]
    }),

  'the ingress leads to a service, under the host of server.publicUrl': (manifests) => {
    const services = ofKind(manifests, 'Service')
    const { host } = new URL(String(configValue(configOf(manifests), 'server.publicUrl')))
    return ofKind(manifests, 'Ingress').flatMap((ingress) => {
      const hosts = [
        ...objectsAt(ingress, 'spec.rules').map((rule) => textAt(rule, 'host')),
        ...objectsAt(ingress, 'spec.tls').map((tls) => textAt(tls, 'hosts.0')),
      ]
      const paths = objectsAt(ingress, 'spec.rules').flatMap((rule) =>
        objectsAt(rule, 'http.paths'),
      )
      const isThere = (path: JsonObject): boolean =>
        services.some(
          (service) =>
            service.metadata.name === textAt(path, 'backend.service.name') &&
            objectsAt(service, 'spec.ports').some(
              (port) =>
                port['name'] === textAt(path, 'backend.service.port.name') &&
                port['targetPort'] === 'http',
            ),
        )
      return [
        ...hosts
          .filter((name) => name !== host)
          .map((name) => `${idOf(ingress)}: ${name} is not the host of server.publicUrl`),
        ...paths
          .filter((path) => !isThere(path))
          .map((path) => `${idOf(ingress)}: ${textAt(path, 'path')} leads to no service`),
        ...paths
          .filter((path) => /^\/($|metrics|healthz|readyz)/.test(textAt(path, 'path')))
          .map((path) => `${idOf(ingress)}: shows ${textAt(path, 'path')} to the world`),
      ]
    })
  },

  'objects are in one namespace, which is there, and use an account that is': (manifests) => {
    const names = ofKind(manifests, 'Namespace').map((each) => each.metadata.name)
    const accounts = ofKind(manifests, 'ServiceAccount').map((each) => each.metadata.name)
    const astray = manifests
      .filter(({ kind, metadata }) => kind !== 'Namespace' && metadata['namespace'] !== names[0])
      .map((each) => `${idOf(each)}: is not in the namespace`)
    const without = workloadsOf(manifests)
      .filter(({ pod }) => !accounts.includes(textAt(pod, 'serviceAccountName')))
      .map(({ id }) => `${id}: has no account`)
    return [...(names.length === 1 ? [] : ['there is not one namespace']), ...astray, ...without]
  },
}
