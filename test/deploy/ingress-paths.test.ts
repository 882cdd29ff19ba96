/** Where a request from outside ends: at a process that has the role its path needs. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Manifest, renderFolder } from '../../scripts/deploy-render.ts'
import { posthogRoute } from '../../src/collect/posthog-route.ts'
import { segmentRoutes } from '../../src/collect/segment-routes.ts'
import { objectsAt, ofKind, textAt } from './manifest-view.ts'

const overlays = fileURLToPath(new URL('../../deploy/kubernetes/overlays', import.meta.url))

/** Of browser clients, see `src/collect/browser-routes.ts`. */
const browserPaths = [
  ...['/sdk/v1/attune.js', '/analytics.js/v1/wk/analytics.min.js'],
  ...['/analytics-next/bundles/a.bundle.0.js'],
  ...['/v1/projects/wk/settings', '/v1/m', '/array/phc_1/config', '/flags/', '/decide/'],
]

/** Returns the service of a path as an ingress chooses it: exact first, then the longest prefix. */
function serviceOf(manifests: readonly Manifest[], asked: string): string | undefined {
  const all = ofKind(manifests, 'Ingress')
    .flatMap((ingress) => objectsAt(ingress, 'spec.rules'))
    .flatMap((rule) => objectsAt(rule, 'http.paths'))
  const fits = all.filter((given) => {
    const path = textAt(given, 'path')
    if (textAt(given, 'pathType') === 'Exact') return path === asked
    return path === asked || asked.startsWith(`${path}/`)
  })
  const weightOf = (given: (typeof fits)[number]): number =>
    textAt(given, 'path').length + (textAt(given, 'pathType') === 'Exact' ? 1000 : 0)
  const [best] = fits.sort((one, other) => weightOf(other) - weightOf(one))
  return best && textAt(best, 'backend.service.name')
}

for (const [overlay, collect, api] of [
  ['kafka-redis', 'attune-collect', 'attune-api'],
  ['kafka-dynamodb', 'attune-collect', 'attune-api'],
  ['single', 'attune', 'attune'],
] as const) {
  it(`${overlay} leads every client to the collector, and links in emails to the API`, () => {
    const manifests = renderFolder(join(overlays, overlay))
    for (const path of [...segmentRoutes.keys(), ...posthogRoute.paths, ...browserPaths]) {
      assert.equal(serviceOf(manifests, path), collect, path)
    }
    for (const path of ['/e/c/token', '/e/o/token', '/e/u/token', '/api/v1/profiles/ada']) {
      assert.equal(serviceOf(manifests, path), api, path)
    }
    assert.equal(serviceOf(manifests, '/metrics'), undefined)
  })
}
