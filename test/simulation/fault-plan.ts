/**
 * Which faults a seed brings, and which were hit.
 *
 * A fault point is a kind of fault at an effect. Each seed arms `faultCount` points, each from an
 * instant on; the first matching effect behind that instant is hit, once. Over many seeds every
 * point must be hit: one that never is guards nothing. Where owners share a state elsewhere, it
 * brings what only such a state does besides.
 */

import type { Random } from '../../src/lib/random.ts'
import { copiedFeature, type Feature, sharedFeature } from './drawn-world.ts'

export const ownerAppends = ['owner', 'tick', 'outbox', 'claim', 'result'] as const
export type OwnerAppend = (typeof ownerAppends)[number]
export type EffectName =
  | `append-${OwnerAppend}`
  | 'acquire'
  | 'commit'
  | 'read-log'
  | 'read-state'
  | 'put-blob'
  | 'hand-over'

const appends = ownerAppends.map((name) => `append-${name}` as const)
const writes: readonly EffectName[] = [...appends, 'acquire', 'commit', 'put-blob', 'hand-over']
const all: readonly EffectName[] = [...writes, 'read-log', 'read-state']
const running: readonly EffectName[] = all.filter((name) => name !== 'acquire')

/** Before or after the effect. */
export type Side = 'before' | 'after'

/** What a state elsewhere loses under living owners; see state-losses.ts. */
export const lossKinds = ['rewind', 'rewind-one', 'empty', 'empty-one'] as const
export type LossKind = (typeof lossKinds)[number]

export const faultKinds = [
  'crash',
  'pause',
  'slow',
  'lose-reply',
  'refuse',
  'twice',
  'roll-back',
  ...lossKinds,
] as const
export type FaultKind = (typeof faultKinds)[number]

export interface EffectPoint {
  readonly kind: FaultKind
  readonly effect: EffectName
  readonly side: Side
}

/** Of those that only a state elsewhere can have, or a copy before it. */
const lossCount = 5
const copyCount = 2
const sides: readonly Side[] = ['before', 'after']
const retried: readonly EffectName[] = [...appends, 'commit']

function pointsOf(
  kind: FaultKind,
  effects: readonly EffectName[],
  at: readonly Side[] = sides,
): readonly EffectPoint[] {
  return effects.flatMap((effect) => at.map((side) => ({ kind, effect, side })))
}

const effectPoints: readonly EffectPoint[] = [
  ...pointsOf('crash', all),
  ...pointsOf('pause', running),
  ...pointsOf('slow', running),
  ...pointsOf('lose-reply', retried, ['after']),
  ...pointsOf('refuse', retried, ['before']),
  ...pointsOf('twice', appends, ['after']),
  ...pointsOf('roll-back', ['commit', 'append-claim', 'append-result', 'hand-over'], ['after']),
]

const lossPoints: readonly EffectPoint[] = [
  ...pointsOf('rewind', ['commit', 'put-blob'], ['after']),
  ...pointsOf('rewind-one', ['commit', 'append-claim', 'append-outbox'], ['after']),
  ...pointsOf('empty', ['commit'], ['after']),
  ...pointsOf('empty-one', ['commit', 'put-blob'], ['after']),
]

/** What goes wrong outside of one effect of an owner. */
export const worldFaults = [
  'mailer defers',
  'mailer refuses',
  'mailer cut, message taken',
  'mailer cut, message lost',
  'log disk full',
  'state disk full',
  'wall clock jumps forward',
  'wall clock jumps back',
  'second owner beside the first',
  'all stops in order',
  'state forgets a suppression',
  'state forgets a grant',
  'event refused',
  'event reply lost',
  'event appended twice',
  'event slow, others pass it',
  'record that cannot be folded',
  'state is lost, all stop',
] as const
/** Of a copy before a state elsewhere; see hot-copy.ts. */
export const copyFaults = [
  'hot copy goes back',
  'hot copy is emptied',
  'hot copy is away',
  'hot copy reply lost',
] as const
/** Of the side store of a state elsewhere; see blob-losses.ts. */
export const blobFaults = ['newest evidence is lost', 'side store is emptied'] as const
export type WorldFault =
  | (typeof worldFaults)[number]
  | (typeof copyFaults)[number]
  | (typeof blobFaults)[number]

export function nameOf(point: EffectPoint): string {
  return `${point.kind} ${point.side} ${point.effect}`
}

const pointsByName = new Map([...effectPoints, ...lossPoints].map((each) => [nameOf(each), each]))

/** Of a machine that has its state beside it, in a fixed order. */
const ownNames: readonly string[] = [...effectPoints.map(nameOf), ...worldFaults]
/** Of a state elsewhere that may lose what it took, and its side store with it. */
const losingNames: readonly string[] = [...lossPoints.map(nameOf), ...blobFaults]

/** All names, in a fixed order. */
export const faultPointNames: readonly string[] = [...ownNames, ...losingNames, ...copyFaults]

interface Armed {
  readonly fromMs: number
  readonly name: string
  /** Absent for what goes wrong outside of an effect. */
  readonly point: EffectPoint | undefined
}

export class FaultPlan {
  readonly hits = new Map<string, number>()
  readonly #armed: Armed[]

  constructor(
    random: Random,
    given: {
      readonly startMs: number
      readonly lengthMs: number
      readonly faultCount: number
      readonly features: ReadonlySet<Feature>
    },
  ) {
    const { startMs, lengthMs, faultCount, features } = given
    const names = shuffle(random, ownNames).slice(0, faultCount)
    if (features.has(copiedFeature)) names.push(...shuffle(random, copyFaults).slice(0, copyCount))
    else if (features.has(sharedFeature)) {
      names.push(...shuffle(random, losingNames).slice(0, lossCount))
    }
    this.#armed = names.map((name) => ({
      name,
      fromMs: startMs + lengthMs * random.unit(),
      point: pointsByName.get(name),
    }))
  }

  /** True until the fault is hit. */
  isArmed(name: string): boolean {
    return this.#armed.some((each) => each.name === name)
  }

  /** Nothing goes wrong from now on. */
  disarm(): void {
    this.#armed.length = 0
  }

  takeAtEffect(effect: EffectName, side: Side, nowMs: number): FaultKind | undefined {
    for (const armed of this.#armed) {
      const { fromMs, point } = armed
      if (fromMs > nowMs) continue
      if (point?.effect !== effect || point.side !== side) continue
      this.#hit(armed)
      return point.kind
    }
    return undefined
  }

  /** True once, where the fault is armed and its instant has come. */
  take(name: WorldFault, nowMs: number): boolean {
    const armed = this.#armed.find((each) => each.name === name && each.fromMs <= nowMs)
    if (armed !== undefined) this.#hit(armed)
    return armed !== undefined
  }

  #hit(armed: Armed): void {
    this.#armed.splice(this.#armed.indexOf(armed), 1)
    this.hits.set(armed.name, (this.hits.get(armed.name) ?? 0) + 1)
  }
}

export function shuffle<Value>(random: Random, values: readonly Value[]): Value[] {
  const shuffled = [...values]
  for (let at = shuffled.length - 1; at > 0; at--) {
    const other = Math.floor(random.unit() * (at + 1))
    ;[shuffled[at], shuffled[other]] = [shuffled[other] as Value, shuffled[at] as Value]
  }
  return shuffled
}
