import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Clock } from '../lib/clock.ts'
import type { ThreadLoad } from '../lib/thread-load.ts'
import { createGiveWay, type GiveWay } from './give-way.ts'

const lagMsMax = 10_000
const roundMs = 20
const pauseMsHighest = 100
const pauseMsLongest = 1000
const signal = new AbortController().signal

/** Time that passes by hand, and a thread of requests that runs and waits by given shares of it. */
class World implements Clock {
  readonly giveWay: GiveWay
  nowAtMs = 0
  /** CPU time of the fold. */
  foldMs = 0
  lagMs = 0
  runShare = 0
  waitShare = 0
  isTold = true
  readonly pauses: number[] = []
  readonly #load = { ranMs: 0, waitedMs: 0 }

  constructor(lagMax = lagMsMax) {
    this.giveWay = createGiveWay(
      {
        clock: this,
        readIntake: () => this.#read(),
        ranMs: () => this.foldMs,
        lagMs: () => this.lagMs,
        paused: (ms) => this.pauses.push(ms),
      },
      { lagMsMax: lagMax },
    )
  }

  nowMs(): number {
    return this.nowAtMs
  }
  monotonicMs(): number {
    return this.nowAtMs
  }
  async sleep(ms: number): Promise<void> {
    this.pass(ms)
  }
  pass(ms: number): void {
    this.nowAtMs += ms
    this.#load.ranMs += ms * this.runShare
    this.#load.waitedMs += ms * this.waitShare
  }
  /** Intake has no rest and no core of its own. */
  press(): void {
    this.runShare = 0.7
    this.waitShare = 0.2
  }
  /** Folds so many rounds; answers how long the fold stood still between them. */
  async fold(roundCount: number, ms = roundMs): Promise<number> {
    const before = this.pauses.length
    for (let round = 0; round < roundCount; round++) {
      this.pass(ms)
      this.foldMs += ms
      await this.giveWay.pause(signal)
    }
    return this.pauses.slice(before).reduce((sum, ms) => sum + ms, 0)
  }
  #read(): ThreadLoad | undefined {
    return this.isTold ? { ...this.#load } : undefined
  }
}

describe('the fold giving way to intake', () => {
  it('stands still longer and longer while intake is short of cores, never for long', async () => {
    const world = new World()
    world.press()
    await world.fold(100)
    assert(world.pauses.length > 50, 'it stood still between most rounds')
    assert.equal(world.pauses.at(-1), pauseMsHighest)
    const steps = world.pauses.slice(1).map((ms, index) => ms - (world.pauses[index] ?? 0))
    assert(
      steps.every((step) => step >= 0),
      'pauses grow while the burst lasts',
    )
    assert(Math.max(...world.pauses) <= pauseMsHighest, 'a round follows soon')
  })

  it('leaves the fold a sixth of a core, however long its rounds are', async () => {
    for (const ms of [roundMs, 100, 180]) {
      const world = new World()
      world.press()
      await world.fold(100, ms)
      const pausedMs = await world.fold(20, ms)
      assert.equal(pausedMs, 20 * 5 * ms, `rounds of ${ms} ms`)
    }
    const world = new World()
    world.press()
    await world.fold(100, 5000)
    assert.equal(await world.fold(1, 5000), pauseMsLongest)
  })

  it('folds on where intake has a core of its own, or rests', async () => {
    for (const [runShare, waitShare] of [
      [1, 0],
      [0.99, 0.01],
      [0.3, 0.3],
      [0, 0],
    ] as const) {
      const world = Object.assign(new World(), { runShare, waitShare })
      assert.equal(await world.fold(50), 0, `ran ${runShare}, waited ${waitShare}`)
    }
  })

  it('folds at full speed beyond the lag that is allowed', async () => {
    const world = new World()
    world.press()
    assert((await world.fold(50)) > 0)
    world.lagMs = lagMsMax
    assert.equal(await world.fold(50), 0)
    world.lagMs = lagMsMax - 1
    assert((await world.fold(50)) > 0)
  })

  it('keeps the lag under its bound where the fold alone keeps pace with intake', async () => {
    const world = new World(2000)
    world.press()
    // Per ms of folding it takes off what arrives in 1.25 ms, so the lag shrinks without pauses.
    const foldSpeed = 1.25
    let lagHighest = 0
    for (let round = 0; round < 3000; round++) {
      const startedAtMs = world.nowAtMs
      await world.fold(1)
      const passedMs = world.nowAtMs - startedAtMs
      world.lagMs = Math.max(0, world.lagMs + passedMs - foldSpeed * roundMs)
      lagHighest = Math.max(lagHighest, world.lagMs)
    }
    assert(lagHighest > 1900, 'the lag that is allowed is used')
    assert(lagHighest < 2000 + pauseMsHighest, `${lagHighest} ms is within one pause of the bound`)
  })

  it('folds on without a pause soon after the burst', async () => {
    const world = new World()
    world.press()
    await world.fold(100)
    Object.assign(world, { runShare: 0.2, waitShare: 0.1 })
    await world.fold(30)
    assert.equal(await world.fold(50), 0)
  })

  it('never stands still where that is not wanted, or nothing is known of intake', async () => {
    const unwanted = new World(0)
    unwanted.press()
    assert.equal(await unwanted.fold(50), 0)
    const untold = new World()
    untold.press()
    untold.isTold = false
    assert.equal(await untold.fold(50), 0)
  })

  it('does not hold up a stop', async () => {
    const world = new World()
    world.press()
    await world.fold(100)
    const before = world.pauses.length
    await world.giveWay.pause(AbortSignal.abort())
    assert.equal(world.pauses.length, before)
  })
})
