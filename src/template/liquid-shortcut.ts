/**
 * Shortcuts through the library's evaluation of a parsed template, with the same output.
 *
 * The library runs a dozen generators for `{{ item.name }}`, since anything in it might be a
 * promise. Here a path of plain names, a literal, and a filter with such parameters are read in a
 * loop. Only what succeeds is short: a value that is missing, or anything else out of the ordinary,
 * goes the library's own way from the start, which knows what may be missing and says what is.
 */

import type { Template as Part, Token } from 'liquidjs'
import { type Context, type Emitter, type Filter, Output, toValue, Value } from 'liquidjs'
import { drive, isGenerator } from './liquid-drive.ts'

/** Returns the value; undefined where the library has to look itself. */
type Read = (context: Context) => unknown

/** Fields of the library that are private by type alone. */
interface ContextInside {
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
  readonly variable?: Token
  readonly props?: readonly Token[]
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
  const read = readerOf(initial.postfix)
  if (read === undefined) return
  const whole = initial.evaluate.bind(initial)
  const evaluate = (context: Context, isLenient?: boolean): unknown => {
    const value = read(context)
    return value === undefined ? whole(context, isLenient) : value
  }
  Object.assign(initial, { evaluate })
}

function shortenFilter(filter: Filter): void {
  const reads = filter.args.map((one) => (Array.isArray(one) ? undefined : readerOf([one])))
  if (!reads.every((read) => read !== undefined)) return
  const { handler, token, liquid } = filter as unknown as FilterInside
  const whole = filter.render.bind(filter)
  const render = (value: unknown, context: Context): unknown => {
    const values = [value]
    for (const read of reads) {
      const given = read(context)
      if (given === undefined) return whole(value, context)
      values.push(given)
    }
    return handler.apply({ context, token, liquid }, values)
  }
  Object.assign(filter, { render })
}

function shortenOutput(output: Output): void {
  const { initial, filters } = output.value
  const read = readerOf(initial.postfix)
  if (read === undefined) return
  const whole = output.render.bind(output)
  const render = (context: Context, emitter: Emitter): unknown => {
    let value = read(context)
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

/** Returns what reads an expression, where it is one literal or one path of plain names. */
function readerOf(postfix: readonly Token[]): Read | undefined {
  const token = postfix[0] as TokenInside | undefined
  if (postfix.length !== 1 || token === undefined) return undefined
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
      value = context.readProperty(value, name)
      if (value === undefined) return undefined
    }
    // The drop of a loop looks like a generator to the library.
    return isGenerator(value) ? undefined : value
  } catch {
    // The library fails at the same place, and says where it is.
    return undefined
  }
}
