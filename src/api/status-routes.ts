import type { FastifyInstance } from 'fastify'
import type { PartitionMeta } from '../process/meta.ts'
import type { ApiDeps } from './api-deps.ts'
import { createDefinitionsInForce, readMetas } from './definitions-in-force.ts'
import { progressOf } from './segment-answer.ts'
import { sendJson } from './send-json.ts'

type Counts = Record<string, number>

/** Sums over all partitions: each counts its own exactly. */
export function addStatusRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const inForce = createDefinitionsInForce(deps.place, deps.blobs)

  app.get('/api/v1/campaigns', async (_request, reply) => {
    const definitions = await inForce.of(0)
    const sums = new Map<string, Counts>()
    for (const { campaigns } of await readKnownMetas(deps)) {
      for (const [name, counts] of Object.entries(campaigns)) {
        const sum = sums.get(name) ?? {}
        addCounts(sum, counts)
        sums.set(name, sum)
      }
    }
    const names = [...new Set([...definitions.campaigns.keys(), ...sums.keys()])].sort()
    const campaigns = names.map((name) => {
      const campaign = definitions.campaigns.get(name)
      return {
        name,
        isActive: campaign !== undefined,
        kind: campaign?.kind,
        trigger: campaign?.trigger,
        counts: sums.get(name) ?? {},
      }
    })
    return sendJson(reply, { campaigns })
  })

  app.get('/api/v1/status', async (_request, reply) => {
    const [metas, health, index] = await Promise.all([
      readKnownMetas(deps),
      deps.health(),
      deps.indexState(),
    ])
    const counts: Counts = {}
    const findings: Counts = {}
    for (const meta of metas) {
      addCounts(counts, meta.counts)
      addCounts(findings, meta.findings ?? {})
    }
    const versions = metas.map(({ definitionsVersion }) => definitionsVersion)
    return sendJson(reply, {
      nowMs: deps.clock.nowMs(),
      partitionCount: deps.place.partitionCount,
      counts,
      findings,
      lagCount: health.lagCount,
      messagesWaiting: health.messagesWaiting,
      evaluation: progressOf(deps, metas, ({ evaluation }) => evaluation !== undefined) ?? null,
      definitions: { versionMin: Math.min(...versions), versionMax: Math.max(...versions) },
      recommendations: index ?? null,
      health,
    })
  })
}

async function readKnownMetas({ place }: ApiDeps): Promise<readonly PartitionMeta[]> {
  return (await readMetas(place)).filter((meta) => meta !== undefined)
}

function addCounts(sum: Counts, counts: Readonly<Counts>): void {
  for (const [name, count] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + count
}
