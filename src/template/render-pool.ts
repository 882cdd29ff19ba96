/**
 * Renders on worker threads, so that no template can stall or exhaust the process.
 *
 * Requests are pipelined: each worker holds a batch, and says through shared memory which request
 * it is at. A worker that works at one request for `hardMs`, runs out of its heap or dies is
 * replaced; the request it was at is answered `killed`, the others it held are given out again.
 * That is safe because rendering is pure. What counts is the CPU time of the thread: on a machine
 * that is busy or was paused, no message is refused for what others do.
 *
 * Order of a request: queue, worker, answer. Callers keep at most `queueCountMax` requests open.
 */

import { Worker } from 'node:worker_threads'
import { assert } from '../lib/assert.ts'
import { systemClock } from '../lib/clock.ts'
import { readWorkerMemory, type ThreadMemory } from '../lib/thread-memory.ts'
import type { SigningKeys } from './links.ts'
import { createMessageRenderer } from './render-message.ts'
import type { RenderAnswer, Renderer, RenderInput, Template } from './template.ts'

/**
 * Requests a worker holds: enough that it never waits for the main thread, few enough to be given
 * out again.
 */
const heldCountMax = 64
/** A third of it is allocated at a time: a message makes some hundred KB and drops them. */
const youngMbMax = 48
/** A thread that cannot even start (memory, a broken installation) is not tried for ever. */
const startCountMax = 5
/** Templates that a thread keeps; the oldest makes room. */
const templateCountMax = 32
const watchesPerHardMs = 5
/** A thread that stands still at one request without working is replaced as well, so much later. */
const stillFactor = 30
const simulationSoftMs = 60_000

export interface RenderPoolOptions {
  readonly threadCount: number
  /** A part of a message that takes more CPU time is refused by the worker itself. */
  readonly softMs: number
  /** A message that takes more CPU time costs its worker. */
  readonly hardMs: number
  readonly heapMb: number
  readonly queueCountMax: number
}

export const renderPoolDefaults: RenderPoolOptions = {
  threadCount: 1,
  softMs: 250,
  hardMs: 1000,
  heapMb: 64,
  queueCountMax: 10_000,
}

/** What `main-render.ts` gets as `workerData`. */
export interface RenderWorkerData {
  readonly keys: SigningKeys
  readonly softMs: number
  /** Holds the number of the request in hand, 0 between batches. */
  readonly progress: Int32Array<SharedArrayBuffer>
}

/**
 * A template goes to a thread once: it is much larger than the rest of an input. The thread keeps
 * it at `place`, where it was last told what there is.
 */
export type RenderRequest = readonly [
  number: number,
  input: Omit<RenderInput, 'template'>,
  place: number,
  template: Template | undefined,
]
export type RenderReply = readonly [number: number, answer: RenderAnswer]

interface Job {
  readonly input: RenderInput
  readonly resolve: (answer: RenderAnswer) => void
}

interface Slot {
  worker: Worker
  progress: Int32Array<SharedArrayBuffer>
  readonly held: Map<number, Job>
  /** The templates that the thread has, by place. */
  readonly templates: Template[]
  templateNext: number
  /** The request that was in hand when the watch last looked, and since when. */
  seen: number
  seenSinceMs: number
  /** CPU time of the thread then. */
  seenCpuMs: number
  isClosed: boolean
}

export interface RenderThreads extends Renderer {
  readMemory(): Promise<readonly ThreadMemory[]>
}

export async function openRenderPool(
  options: RenderPoolOptions,
  keys: SigningKeys,
): Promise<RenderThreads> {
  assert(options.threadCount >= 1, 'a pool has at least one thread')
  assert(options.softMs <= options.hardMs, 'a render is refused before its thread is killed')
  const pool = new RenderPool(options, keys)
  await pool.open()
  return pool
}

/**
 * Renders on the calling thread: for simulations and tests, where steps limit the work and time
 * does not.
 */
export function createInlineRenderer(keys: SigningKeys): Renderer {
  const renderMessage = createMessageRenderer(keys, { softMs: simulationSoftMs })
  return {
    render: (input) => Promise.resolve(renderMessage(input)),
    close: () => Promise.resolve(),
  }
}

class RenderPool implements RenderThreads {
  readonly #options: RenderPoolOptions
  readonly #keys: SigningKeys
  readonly #queue: Job[] = []
  readonly #slots: Slot[] = []
  readonly #closed = new AbortController()
  #isFlushPlanned = false
  /**
   * From 1, and within an Int32: a pool that renders 5,000 messages a second takes five days to
   * come round.
   */
  #number = 0

  constructor(options: RenderPoolOptions, keys: SigningKeys) {
    this.#options = options
    this.#keys = keys
  }

  async open(): Promise<void> {
    const starts = Array.from({ length: this.#options.threadCount }, () => this.#start())
    this.#slots.push(...(await Promise.all(starts)))
    void this.#runWatch()
  }

  render(input: RenderInput): Promise<RenderAnswer> {
    assert(!this.#closed.signal.aborted, 'nobody renders after close')
    assert(this.#queue.length < this.#options.queueCountMax, 'callers bound their open requests')
    return new Promise((resolve) => {
      this.#queue.push({ input, resolve })
      this.#planFlush()
    })
  }

  async readMemory(): Promise<readonly ThreadMemory[]> {
    const open = this.#slots.filter((slot) => !slot.isClosed)
    return (
      await Promise.all(open.map(({ worker }) => readWorkerMemory(systemClock, worker)))
    ).flat()
  }

  /** Ends the threads. Requests without an answer get `killed`. */
  async close(): Promise<void> {
    this.#closed.abort()
    const jobs = this.#queue.splice(0)
    for (const slot of this.#slots) {
      slot.isClosed = true
      jobs.push(...slot.held.values())
      slot.held.clear()
    }
    for (const job of jobs) job.resolve(killed('the renderer was closed'))
    await Promise.all(this.#slots.map((slot) => slot.worker.terminate()))
  }

  async #start(): Promise<Slot> {
    for (let count = 1; ; count++) {
      const progress = new Int32Array(new SharedArrayBuffer(4))
      const worker = this.#createWorker(progress)
      const slot: Slot = {
        worker,
        progress,
        held: new Map(),
        templates: [],
        templateNext: 0,
        seen: 0,
        seenSinceMs: 0,
        seenCpuMs: 0,
        isClosed: false,
      }
      try {
        await new Promise<void>((resolve, reject) => {
          worker.once('message', () => resolve())
          worker.once('error', reject)
          worker.once('exit', (code) => reject(new Error(`render thread exited with ${code}`)))
        })
        this.#listen(slot)
        return slot
      } catch (error) {
        if (count >= startCountMax) throw error
      }
    }
  }

  #createWorker(progress: Int32Array<SharedArrayBuffer>): Worker {
    const data: RenderWorkerData = { keys: this.#keys, softMs: this.#options.softMs, progress }
    return new Worker(new URL('../main-render.ts', import.meta.url), {
      name: 'render',
      workerData: data,
      env: {},
      resourceLimits: {
        maxOldGenerationSizeMb: this.#options.heapMb,
        maxYoungGenerationSizeMb: youngMbMax,
        stackSizeMb: 2,
      },
    })
  }

  #listen(slot: Slot): void {
    const { worker } = slot
    worker.on('message', (replies: readonly RenderReply[]) => {
      for (const [number, answer] of replies) {
        slot.held.get(number)?.resolve(answer)
        slot.held.delete(number)
      }
      this.#flush()
    })
    worker.on('error', (error) => void this.#replace(slot, error.message))
    worker.on('exit', () => void this.#replace(slot, 'the render thread ended'))
  }

  /** Many requests of one turn go out together. */
  #planFlush(): void {
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    setImmediate(() => {
      this.#isFlushPlanned = false
      this.#flush()
    })
  }

  #flush(): void {
    const open = this.#slots.filter((slot) => !slot.isClosed)
    // Half-full threads wait for more, so that batches stay large; idle ones never wait.
    const byLoad = open.toSorted((left, right) => left.held.size - right.held.size)
    for (const slot of byLoad) {
      const room = slot.held.size > heldCountMax / 2 ? 0 : heldCountMax - slot.held.size
      const share = Math.ceil(this.#queue.length / Math.max(byLoad.length, 1))
      const jobs = this.#queue.splice(0, Math.min(room, share))
      if (jobs.length === 0) continue
      const requests = jobs.map((job): RenderRequest => {
        this.#number = (this.#number % 0x7fffffff) + 1
        slot.held.set(this.#number, job)
        const { template, ...input } = job.input
        return [this.#number, input, ...placeTemplate(slot, template)]
      })
      slot.worker.postMessage(requests)
    }
  }

  async #runWatch(): Promise<void> {
    const { signal } = this.#closed
    while (!signal.aborted) {
      await systemClock.sleep(this.#options.hardMs / watchesPerHardMs, signal)
      await Promise.all(this.#slots.map((slot) => this.#look(slot)))
    }
  }

  async #look(slot: Slot): Promise<void> {
    const { hardMs } = this.#options
    const number = Atomics.load(slot.progress, 0)
    const nowMs = systemClock.monotonicMs()
    if (number === 0) {
      slot.seen = 0
      return
    }
    const cpuMs = await cpuMsOf(slot.worker, hardMs)
    // The answer may have taken a while: what it counts is of this request only if it goes on.
    if (slot.isClosed || Atomics.load(slot.progress, 0) !== number) return
    if (number !== slot.seen) {
      slot.seen = number
      slot.seenSinceMs = nowMs
      slot.seenCpuMs = cpuMs ?? Number.POSITIVE_INFINITY
      return
    }
    const isOver = cpuMs !== undefined && cpuMs - slot.seenCpuMs >= hardMs
    const isStill = nowMs - slot.seenSinceMs >= stillFactor * hardMs
    if (isOver || isStill) void this.#replace(slot, `over ${hardMs} ms`)
  }

  /**
   * Answers the request in hand, queues the others again in front, and puts a new thread in the
   * place.
   */
  async #replace(slot: Slot, says: string): Promise<void> {
    if (slot.isClosed) return
    slot.isClosed = true
    const number = Atomics.load(slot.progress, 0)
    slot.held.get(number)?.resolve(killed(says))
    slot.held.delete(number)
    this.#queue.unshift(...slot.held.values())
    slot.held.clear()
    await slot.worker.terminate()
    const next = await this.#start().catch(() => undefined)
    if (next === undefined) return this.#giveUp(slot)
    const index = this.#slots.indexOf(slot)
    if (this.#closed.signal.aborted || index < 0) {
      await next.worker.terminate()
      return
    }
    this.#slots[index] = next
    this.#flush()
  }

  /** Without any thread nothing would ever be answered. */
  #giveUp(slot: Slot): void {
    this.#slots.splice(this.#slots.indexOf(slot), 1)
    if (this.#slots.some((other) => !other.isClosed)) return
    for (const job of this.#queue.splice(0)) job.resolve(killed('no render thread starts'))
  }
}

/** Returns where the thread has the template, with the template if it has yet to be told. */
function placeTemplate(
  slot: Slot,
  template: Template,
): readonly [place: number, template: Template | undefined] {
  const known = slot.templates.indexOf(template)
  if (known >= 0) return [known, undefined]
  const place = slot.templateNext
  slot.templates[place] = template
  slot.templateNext = (place + 1) % templateCountMax
  return [place, template]
}

/** CPU time of a thread, also while it is busy; undefined where it does not tell in time. */
async function cpuMsOf(worker: Worker, msMax: number): Promise<number | undefined> {
  const late = new AbortController()
  const usage = await Promise.race([
    worker.cpuUsage().catch(() => undefined),
    systemClock.sleep(msMax, late.signal),
  ])
  late.abort()
  return usage === undefined ? undefined : (usage.user + usage.system) / 1000
}

function killed(says: string): RenderAnswer {
  return { kind: 'refused', reason: 'killed', says }
}
