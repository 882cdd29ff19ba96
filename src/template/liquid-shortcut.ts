/**
 * Shortcuts through the library's evaluation of a parsed template, with the same output.
 *
 * The library runs a dozen generators for `{{ item.name }}`, since anything in it might be a
 * promise. Here a path of plain names, a literal, operators between such, and a filter with such
 * parameters are read in a loop. A value that is missing where it may be is nothing, without the
 * exception that tells the library so. One that may not be missing, or anything else out of the
 * ordinary, goes the library's own way from the start, which says what is wrong.
 */

import type { Template as Part, Token } from 'liquidjs'
import { type Context, type Emitter, type Filter, Output, toValue, Value } from 'liquidjs'
import { drive, isGenerator } from './liquid-drive.ts'

/** Returns the value, or `missing`; undefined where the library has to look itself. */
type Read = (context: Context) => unknown

/** What a path gives that names something which is not there. */
const missing = Symbol('missing')

/** A part of an expression in postfix order: what reads an operand, or the name of an operator. */
type Step = Read | string

/** Fields of the library that are private by type alone. */
interface ContextInside {
  readonly opts: {
    readonly operators: Readonly<Record<string, (...given: unknown[]) => unknown>>
  }
  findScope(name: unknown): unknown
  readProperty(scope: unknown, name: unknown): unknown
}
interface FilterInside {
  readonly handler: (this: unknown, ...values: unknown[]) => unknown
  readonly token: unknown
  readonly liquid: unknown
}
type TokenInside = Token & {
  readonly content?: unknown
  readonly variable?: Token | undefined
  readonly props?: readonly Token[]
  readonly operator?: string
}

/** Puts shortcuts into the parts of a template, and into those inside them. */
export function shorten(parts: readonly Part[]): void {
  for (const part of parts) {
    for (const argument of part.arguments?.() ?? []) {
      if (argument instanceof Value) shortenValue(argument)
    }
    // Nothing is loaded for the children: partials are off.
    const children = part.children?.(false, true)
    if (children !== undefined) shorten(drive(children) as readonly Part[])
    if (part instanceof Output) shortenOutput(part)
  }
}

function shortenValue({ initial, filters }: Value): void {
  for (const filter of filters) shortenFilter(filter)
  const steps = stepsOf(initial.postfix)
  if (steps === undefined) return
  const whole = initial.evaluate.bind(initial)
  const evaluate = (context: Context, isLenient?: boolean): unknown => {
    const value = evaluateSteps(steps, context, isLenient === true)
    return value === undefined ? whole(context, isLenient) : value
  }
  Object.assign(initial, { evaluate })
}

function shortenFilter(filter: Filter): void {
  const reads = filter.args.map((one) => (Array.isArray(one) ? undefined : readerOf(one)))
  if (!reads.every((read) => read !== undefined)) return
  const { handler, token, liquid } = filter as unknown as FilterInside
  const whole = filter.render.bind(filter)
  const render = (value: unknown, context: Context): unknown => {
    const values = [value]
    for (const read of reads) {
      const given = read(context)
      if (given === undefined || given === missing) return whole(value, context)
      values.push(given)
    }
    return handler.apply({ context, token, liquid }, values)
  }
  Object.assign(filter, { render })
}

function shortenOutput(output: Output): void {
  const { initial, filters } = output.value
  const steps = stepsOf(initial.postfix)
  if (steps === undefined) return
  const whole = output.render.bind(output)
  const isLenient = filters[0]?.name === 'default'
  const render = (context: Context, emitter: Emitter): unknown => {
    let value = evaluateSteps(steps, context, isLenient)
    if (value === undefined) return whole(context, emitter)
    for (const filter of filters) value = settled(filter.render(value, context))
    emitter.write(settled(toValue(value)))
    return undefined
  }
  Object.assign(output, { render })
}

function settled(value: unknown): unknown {
  return isGenerator(value) ? drive(value) : value
}

/** Returns the steps of an expression, where all its operands are plain. */
function stepsOf(postfix: readonly Token[]): readonly Step[] | undefined {
  const steps = postfix.map((token: TokenInside) => token.operator ?? readerOf(token))
  return steps.length > 0 && steps.every((step) => step !== undefined) ? steps : undefined
}

/**
 * Returns the value of an expression, null for a lenient one that is missing; undefined where the
 * library has to look itself. Nothing here has an effect, so it may begin again.
 */
function evaluateSteps(steps: readonly Step[], context: Context, isLenient: boolean): unknown {
  const operands: unknown[] = []
  for (const step of steps) {
    if (typeof step === 'string') {
      operands.push(operate(step, operands, context))
      continue
    }
    const value = step(context)
    if (value === undefined || (value === missing && !isLenient)) return undefined
    operands.push(value === missing ? null : value)
  }
  return operands[0]
}

function operate(operator: string, operands: unknown[], context: Context): unknown {
  const run = (context as unknown as ContextInside).opts.operators[operator]
  const given = operands.splice(operator === 'not' ? -1 : -2)
  return settled(run?.(...given, context))
}

/** Returns what reads an operand, where it is a literal or a path of plain names. */
function readerOf(token: TokenInside | undefined): Read | undefined {
  if (token === undefined) return undefined
  if ('content' in token) return () => token.content
  const { variable, props = [] } = token
  if (variable !== undefined || props.length === 0) return undefined
  if (!props.every((prop) => 'content' in prop)) return undefined
  const names = props.map((prop) => toValue((prop as TokenInside).content) as unknown)
  return (context) => readPath(context as unknown as ContextInside, names)
}

function readPath(context: ContextInside, names: readonly unknown[]): unknown {
  try {
    let value = context.findScope(names[0])
    for (const name of names) {
      const scope = value
      value = context.readProperty(scope, name)
      if (value === undefined) return isGenerator(scope) ? undefined : missing
    }
    // The drop of a loop looks like a generator to the library.
    return isGenerator(value) ? undefined : value
  } catch {
    // The library fails at the same place, and says where it is.
    return undefined
  }
}
