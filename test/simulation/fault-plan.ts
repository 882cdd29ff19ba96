/**
 * Which faults a seed brings, and which were hit.
 *
 * A fault point is a kind of fault at an effect. Each seed arms `faultCount` points, each from an
 * instant on; the first matching effect behind that instant is hit, once. Over many seeds every
 * point must be hit: one that never is guards nothing.
 */

import type { Random } from '../../src/lib/random.ts'

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

export const faultKinds = [
  'crash',
  'pause',
  'slow',
  'lose-reply',
  'refuse',
  'twice',
  'roll-back',
] as const
export type FaultKind = (typeof faultKinds)[number]

export interface EffectPoint {
  readonly kind: FaultKind
  readonly effect: EffectName
  readonly side: Side
}

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
] as const
export type WorldFault = (typeof worldFaults)[number]

export function nameOf(point: EffectPoint): string {
  return `${point.kind} ${point.side} ${point.effect}`
}

const pointsByName = new Map(effectPoints.map((each) => [nameOf(each), each]))

/** All names, in a fixed order. */
export const faultPointNames: readonly string[] = [...effectPoints.map(nameOf), ...worldFaults]

interface Armed {
  readonly fromMs: number
  readonly name: string
  /** Absent for what goes wrong outside of an effect. */
  readonly point: EffectPoint | undefined
}

export class FaultPlan {
  readonly hits = new Map<string, number>()
  readonly #armed: Armed[]

  constructor(random: Random, startMs: number, lengthMs: number, faultCount: number) {
    const names = shuffle(random, faultPointNames).slice(0, faultCount)
    this.#armed = names.map((name) => ({
      name,
      fromMs: startMs + lengthMs * random.unit(),
      point: pointsByName.get(name),
    }))
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
