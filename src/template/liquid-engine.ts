/**
 * Liquid with every limit set. Two engines: one escapes what it prints for HTML, one prints plain
 * text.
 *
 * - Steps are counted, and so are characters written, captures included: these limits refuse the
 *   same templates in every process. Time is only the last resort: that of the thread's own work,
 *   so that a busy machine refuses nobody. A render that passes it is refused, never cut.
 * - No files, no partials, no prototypes, no unknown filters, no clock, no chance.
 * - A value that is missing refuses the render unless the template tests it or gives a default.
 */

import { Context, type Emitter, Liquid, type Template as Part, TokenKind, toValue } from 'liquidjs'
import type { JsonObject } from '../lib/json.ts'
import { addDialectFilters, nowRegister } from './dialect-filters.ts'
import { drive } from './liquid-drive.ts'
import { shorten } from './liquid-shortcut.ts'
import type { RenderRefusal } from './template.ts'

/** Nodes rendered in one part of one message. A long real email has some thousands. */
const stepCountMax = 100_000
/** Characters written or made by filters in one part; about the double of the largest output. */
const memoryCharactersMax = 1_200_000
/** Compiled HTML is larger than its MJML, so this is above the bound on sources. */
const parseCharactersMax = 1024 * 1024
export const outputBytesMax = 512 * 1024
/**
 * Blocks inside blocks. Parser and renderer recurse, so that deep nesting would overflow the
 * stack.
 */
const nestingCountMax = 50
const saysCharactersMax = 300
/** Parsed templates kept, oldest out first. A template that is changed has another text. */
const cacheCountMax = 256

const removedTags = ['include', 'render', 'layout', 'block', 'liquid']
const blockTags = 'if|unless|case|for|tablerow|capture|comment|raw'

export type Parsed = readonly Part[]

export type Filled =
  | { readonly kind: 'filled'; readonly text: string }
  | { readonly kind: 'refused'; readonly reason: RenderRefusal; readonly says: string }

export interface LiquidFault {
  readonly line?: number
  readonly says: string
}

export interface FillOptions {
  /** What `now` means. */
  readonly nowMs: number
  /** Of CPU time. */
  readonly softMs: number
}

export interface LiquidEngine {
  /** Returns the faults of a template text; none if it can be filled. */
  check(text: string): readonly LiquidFault[]
  fill(text: string, values: JsonObject, options: FillOptions): Filled
}

export function createLiquidEngine(output: 'html' | 'text'): LiquidEngine {
  const engine = new Liquid({
    templates: {},
    ownPropertyOnly: true,
    strictFilters: true,
    strictVariables: true,
    lenientIf: true,
    parseLimit: parseCharactersMax,
    memoryLimit: memoryCharactersMax,
    locale: 'en-US',
    timezoneOffset: 0,
    ...(output === 'html' ? { outputEscape: 'escape' as const } : {}),
  })
  for (const name of removedTags) delete engine.tags[name]
  addDialectFilters(engine)
  // The library's own renderer counts neither steps nor characters; the field is only readonly by
  // type.
  Object.assign(engine, { renderer: { renderTemplates } })
  const cache = new Map<string, Parsed>()

  return {
    check(text) {
      try {
        parse(engine, text)
        return []
      } catch (error) {
        return [faultOf(error)]
      }
    },

    fill(text, values, options) {
      try {
        let parsed = cache.get(text)
        if (parsed === undefined) {
          parsed = parse(engine, text)
          const oldest = cache.size >= cacheCountMax ? cache.keys().next().value : undefined
          if (oldest !== undefined) cache.delete(oldest)
          cache.set(text, parsed)
        }
        return fill(engine, parsed, values, options)
      } catch (error) {
        return { kind: 'refused', reason: reasonOf(error), says: saysOf(error) }
      }
    },
  }
}

class LimitError extends Error {}

function parse(engine: Liquid, text: string): Parsed {
  const tooDeepAt = findDeepBlock(text)
  if (tooDeepAt !== undefined) throw new LimitError(`blocks nested over ${nestingCountMax} deep`)
  const parts = engine.parse(text)
  shorten(parts)
  return parts
}

/** Returns the place of the first block that is nested too deep. */
function findDeepBlock(text: string): number | undefined {
  let depth = 0
  for (const match of text.matchAll(new RegExp(`\\{%-?\\s{0,9}(end)?(${blockTags})\\b`, 'g'))) {
    depth += match[1] === undefined ? 1 : -1
    if (depth > nestingCountMax) return match.index
  }
  return undefined
}

function fill(engine: Liquid, parsed: Parsed, values: JsonObject, options: FillOptions): Filled {
  // Copied, since `increment` writes into its scope.
  const context = new Context({ ...values }, engine.options, { sync: true }, { liquid: engine })
  context.setRegister(workRegister, startWork(options.softMs))
  context.setRegister(nowRegister, options.nowMs)
  const text = String(drive(renderTemplates(parsed, context)))
  if (Buffer.byteLength(text) > outputBytesMax) {
    throw new LimitError(`output over ${outputBytesMax} bytes`)
  }
  return { kind: 'filled', text }
}

/** The library's own loop (`Render.renderTemplates`), with steps and characters counted. */
function* renderTemplates(
  parts: Parsed,
  context: Context,
  emitter: Emitter = createEmitter(context),
): Generator<unknown, unknown, unknown> {
  useStep(context)
  for (const part of parts) {
    useStep(context)
    if (part.token.kind === TokenKind.HTML) {
      // `str` is all that an HTML node writes; most nodes are such.
      emitter.write((part as unknown as { readonly str: string }).str)
      continue
    }
    try {
      const html = yield part.render(context, emitter)
      if (html !== undefined && html !== null && html !== '') emitter.write(html)
    } catch (error) {
      throw placed(error, part)
    }
    if (context.breakCalled || context.continueCalled) break
  }
  return emitter['buffer']
}

const workRegister = 'attune.work'

/** What one fill has used of its limits. */
interface Work {
  steps: number
  readonly softMs: number
  readonly cpuStartMs: number
  /** Before this the limit cannot have been passed: a thread works at most as long as it lives. */
  lookAtMs: number
}

function startWork(softMs: number): Work {
  const lookAtMs = performance.now() + softMs
  return { steps: 0, softMs, cpuStartMs: threadCpuMs(), lookAtMs }
}

function useStep(context: Context): void {
  const work = context.getRegister<Work>(workRegister)
  work.steps += 1
  if (work.steps > stepCountMax) throw new LimitError(`over ${stepCountMax} steps`)
  // Reading the clock costs about as much as a step does.
  if (work.steps % 8 === 0 && performance.now() > work.lookAtMs) lookAtTime(work)
}

function lookAtTime(work: Work): void {
  const usedMs = threadCpuMs() - work.cpuStartMs
  if (usedMs > work.softMs) throw new LimitError(`over ${work.softMs} ms of work`)
  work.lookAtMs = performance.now() + work.softMs - usedMs
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

function createEmitter(context: Context): Emitter {
  const emitter: { buffer: string; write(html: unknown): void } = {
    buffer: '',
    write(html) {
      const text = toText(html)
      context.memoryLimit.use(text.length)
      emitter.buffer += text
    },
  }
  return emitter as Emitter
}

function toText(html: unknown): string {
  if (typeof html === 'string') return html
  // Drops (`forloop`, `empty`) print their value.
  const value: unknown = toValue(html)
  if (value === undefined || value === null) return ''
  return Array.isArray(value) ? value.map(toText).join('') : String(value)
}

/** An error with the place of the innermost part that failed. */
class PlacedError extends Error {
  readonly line: number
  constructor(cause: unknown, line: number) {
    super(firstLine(cause), { cause })
    this.line = line
  }
}

function placed(error: unknown, part: Part): unknown {
  if (error instanceof PlacedError || error instanceof LimitError) return error
  return new PlacedError(error, part.token.getPosition()[0] ?? 1)
}

function reasonOf(error: unknown): RenderRefusal {
  if (error instanceof PlacedError) return reasonOf(error.cause)
  if (error instanceof LimitError || error instanceof RangeError) return 'limit'
  const says = saysOf(error)
  if (says.includes('limit exceeded')) return 'limit'
  return says.startsWith('undefined variable') ? 'missing-value' : 'template'
}

function saysOf(error: unknown): string {
  if (error instanceof PlacedError) return `line ${error.line}: ${firstLine(error)}`
  return firstLine(error)
}

function faultOf(error: unknown): LiquidFault {
  const token = (error as { token?: { getPosition?: () => number[] } }).token
  const line = token?.getPosition?.()[0]
  const says = firstLine(error)
  return line === undefined ? { says } : { line, says }
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const line = (message.split('\n', 1)[0] ?? '').slice(0, saysCharactersMax)
  return line.replace(/, line:\d+, col:\d+$/, '')
}
