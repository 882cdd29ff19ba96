/**
 * One process that owns partitions, as the world sees it: every effect passes through here, and
 * may go wrong before or after it happens. A dead process is one whose effects never answer; a
 * paused one is late with everything.
 */

import { OperatingError } from '../../src/lib/errors.ts'
import type { Random } from '../../src/lib/random.ts'
import {
  createFreshness,
  createFreshnessBuffer,
  type Freshness,
} from '../../src/process/freshness.ts'
import type { EffectName, FaultKind, FaultPlan, LossKind, Side } from './fault-plan.ts'
import type { Observer } from './observer.ts'
import { createProcessClock, type ProcessClock, type Timeline } from './virtual-clock.ts'
import { minuteMs, partitionCount } from './world-definitions.ts'

const slowMsMax = 10 * minuteMs
const pauseMsMax = 40 * minuteMs
const jitterMsMax = 30
const jitterShare = 0.15
const lateMsMax = 10_000
const lateShare = 0.01

export interface ProcessDeps {
  readonly timeline: Timeline
  readonly observer: Observer
  readonly plan: FaultPlan
  readonly random: Random
  /** Told of what ends or stops the process; another one may have to take over. */
  onDeath(process: OwnerProcess, isRolledBack: boolean): void
  /** The state forgets, and the process lives on. */
  onLoss(kind: LossKind): void
  onPause(process: OwnerProcess, lengthMs: number): void
}

export class OwnerProcess {
  readonly name: string
  readonly clock: ProcessClock
  readonly freshness: Freshness
  readonly random: Random
  isDead = false
  readonly #deps: ProcessDeps
  #pausedUntilMs = 0

  constructor(deps: ProcessDeps, name: string) {
    this.#deps = deps
    this.name = name
    this.random = deps.random
    this.clock = createProcessClock(deps.timeline, this)
    this.freshness = createFreshness(createFreshnessBuffer(partitionCount))
  }

  get isPaused(): boolean {
    return this.#pausedUntilMs > this.#deps.timeline.nowMs
  }

  /** True where an effect need not wait: waiting for nothing takes turns of a queue too. */
  get #isAwake(): boolean {
    return !this.isDead && !this.isPaused
  }

  async awake(): Promise<void> {
    const { timeline } = this.#deps
    while (!this.isDead && this.isPaused) await timeline.sleep(this.#pausedUntilMs - timeline.nowMs)
    if (this.isDead) await never()
  }

  /** Ends the process between two effects. */
  die(): void {
    this.isDead = true
  }

  pause(lengthMs: number): void {
    this.#pausedUntilMs = this.#deps.timeline.nowMs + lengthMs
    this.#deps.observer.note(this.name, `paused for ${Math.round(lengthMs)} ms`)
    this.#deps.onPause(this, lengthMs)
  }

  /** Lets `run` happen, with what the plan holds against it. */
  async effect<Result>(name: EffectName, run: () => Promise<Result>): Promise<Result> {
    const { random, timeline } = this.#deps
    if (!this.#isAwake) await this.awake()
    const draw = random.unit()
    if (draw < lateShare) await timeline.sleep(lateMsMax * random.unit())
    else if (draw < jitterShare) await timeline.sleep(jitterMsMax * random.unit())
    if (!this.#isAwake) await this.awake()
    const before = this.#faultAt(name, 'before')
    if (before !== undefined) await this.#suffer(before, name, 'before')
    const result = await run()
    if (!this.#isAwake) await this.awake()
    const after = this.#faultAt(name, 'after')
    if (after !== undefined) await this.#suffer(after, name, 'after')
    if (after === 'twice') await run()
    return result
  }

  #faultAt(name: EffectName, side: Side): FaultKind | undefined {
    const { plan, timeline } = this.#deps
    return plan.takeAtEffect(name, side, timeline.nowMs)
  }

  async #suffer(kind: FaultKind, name: EffectName, side: Side): Promise<void> {
    const { timeline, observer, random } = this.#deps
    observer.note(this.name, `FAULT ${kind} ${side} ${name}`)
    switch (kind) {
      case 'crash':
      case 'roll-back':
        this.die()
        this.#deps.onDeath(this, kind === 'roll-back')
        break
      case 'pause':
        this.pause(minuteMs + pauseMsMax * random.unit())
        break
      case 'slow':
        await timeline.sleep(slowMsMax * random.unit())
        break
      case 'lose-reply':
      case 'refuse':
        throw new OperatingError('LOG_OVERLOADED', `${name}: ${kind}`)
      case 'rewind':
      case 'rewind-one':
      case 'empty':
      case 'empty-one':
        this.#deps.onLoss(kind)
        break
      case 'twice':
        break
    }
    await this.awake()
  }
}

function never(): Promise<never> {
  return new Promise(() => {})
}
