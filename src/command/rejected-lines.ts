/**
 * Says rejected events in lines for a terminal. What producers sent is shown with nothing in it
 * that a terminal would obey, and never without a bound.
 */

import type { RejectedGroup } from '../collect/rejected-index.ts'
import type { Example, Outcomes, ShownRejected } from '../collect/work-list.ts'
import { pointerOf } from '../event/parse-event.ts'
import { isJsonObject } from '../lib/json.ts'
import { type Output, showText, showTime } from './output.ts'

const lineCountMax = 400
const depthMax = 30
const hexBytes = 128
const pieceLength = 120
const mark = '> '

const head = ['COUNT', 'SOURCE', 'REASON', 'PATH', 'EVENT', 'FIRST SEEN', 'LAST SEEN', 'NEWEST']

/** Returns rows for `output.table`, the largest group first. */
export function rowsOfGroups(
  groups: readonly RejectedGroup[],
  output: Output,
): readonly (readonly string[])[] {
  const sorted = groups.toSorted((left, right) => right.count - left.count)
  return [head.map((text) => output.paint('dim', text)), ...sorted.map(rowOfGroup)]
}

function rowOfGroup(group: RejectedGroup): readonly string[] {
  const { count, source, reason, path, event, firstSeenMs, lastSeenMs, lastId, failedCount } = group
  const tried = failedCount === 0 ? '' : `, tried ${failedCount}`
  const texts = [source, reason, path === '' ? '-' : path, event === '' ? '-' : event]
  const times = [showTime(firstSeenMs), showTime(lastSeenMs)]
  return [`${count}${tried}`, ...texts.map(showText), ...times, showText(lastId)]
}

/** Returns one rejected event with the place of its fault marked. */
export function linesOfRejected(shown: ShownRejected, output: Output): readonly string[] {
  const { id, isOpen, reason, at, event, source, receivedAtMs, format, form } = shown
  const state = isOpen ? 'open' : 'resolved'
  const facts: readonly (readonly [string, string])[] = [
    ['id', `${id}  ${state}`],
    ['source', source],
    ['reason', `${reason} at ${at === '' ? 'the whole' : at}`],
    ['event', event === '' ? '-' : event],
    ['received', `${showTime(receivedAtMs)}${shown.isBackfill ? '  backfill' : ''}`],
    ['kept', `${form}${format === undefined ? '' : ` in ${format}`}${shown.isCut ? ', cut' : ''}`],
    ...(shown.whyNotRepairable === undefined ? [] : [['repair', shown.whyNotRepairable] as const]),
    ...(shown.contextText === undefined ? [] : [['context', shown.contextText] as const]),
  ]
  const lines = facts.map(([name, value]) => `${name.padEnd(9)} ${showText(value)}`)
  const isTranslated = shown.translatedText !== undefined
  const body =
    shown.text === undefined
      ? hexOf(shown)
      : linesOfText(shown.text, isTranslated ? undefined : at, output)
  const translated =
    shown.translatedText === undefined
      ? []
      : ['', 'translated to', ...linesOfText(shown.translatedText, at, output)]
  return [...lines, '', ...body, ...translated]
}

function hexOf({ bytes }: ShownRejected): readonly string[] {
  const buffer = Buffer.from(bytes, 'base64')
  const rest = buffer.length > hexBytes ? ` ... ${buffer.length} bytes` : ''
  return [`  ${buffer.toString('hex', 0, hexBytes)}${rest}`]
}

/** Returns JSON with indents; what is none, line by line as it is. */
function linesOfText(text: string, at: string | undefined, output: Output): readonly string[] {
  const parsed = parseText(text)
  const isFault = (path: string): boolean => at !== undefined && at !== '' && path === at
  const lines: Line[] = []
  if (parsed === undefined) {
    for (const line of text.split('\n')) {
      for (const piece of piecesOf(line)) lines.push({ text: piece, path: '' })
    }
  } else addLines(parsed.value, { before: '', after: '', path: [], lines })
  const shown = lines.slice(0, lineCountMax).map((line) => {
    const says = `${isFault(line.path) ? mark : '  '}${showText(line.text)}`
    return isFault(line.path) ? output.paint('red', says) : says
  })
  const isMarked = lines.slice(0, lineCountMax).some(({ path }) => isFault(path))
  const cut = lines.length > lineCountMax ? [`  ... ${lines.length} lines`] : []
  const missing = at !== undefined && at !== '' && !isMarked
  return [...shown, ...cut, ...(missing ? [`${mark}${showText(at)} is not in it`] : [])]
}

/** A body is often one long line. */
function piecesOf(line: string): readonly string[] {
  const count = Math.max(1, Math.ceil(line.length / pieceLength))
  return Array.from({ length: count }, (_, index) =>
    line.slice(index * pieceLength, (index + 1) * pieceLength),
  )
}

function parseText(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

interface Line {
  readonly text: string
  readonly path: string
}

interface Writing {
  /** What stands before and behind the value in its line: a name, a comma. */
  readonly before: string
  readonly after: string
  readonly path: readonly (string | number)[]
  readonly lines: Line[]
}

function addLines(value: unknown, { before, after, path, lines }: Writing): void {
  const indent = '  '.repeat(path.length)
  const add = (text: string): void => {
    lines.push({ text: indent + text, path: pointerOf(path) })
  }
  const entries: readonly (readonly [string | number, unknown])[] | undefined = Array.isArray(value)
    ? [...value.entries()]
    : isJsonObject(value)
      ? Object.entries(value)
      : undefined
  if (entries === undefined) {
    add(`${before}${JSON.stringify(value)}${after}`)
    return
  }
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}']
  const isCut = path.length >= depthMax || lines.length > lineCountMax
  if (entries.length === 0 || isCut) {
    add(`${before}${open}${entries.length === 0 ? '' : '...'}${close}${after}`)
    return
  }
  add(before + open)
  for (const [index, [name, each]] of entries.entries()) {
    const label = typeof name === 'string' ? `${JSON.stringify(name)}: ` : ''
    const comma = index === entries.length - 1 ? '' : ','
    addLines(each, { before: label, after: comma, path: [...path, name], lines })
    if (lines.length > lineCountMax) break
  }
  lines.push({ text: `${indent}${close}${after}`, path: '' })
}

/** Returns what a trial or a replay came to. */
export function linesOfOutcomes(
  outcomes: Outcomes,
  words: { readonly accepted: string },
): readonly string[] {
  const { acceptedCount, droppedCount, failedCount, notRepairableCount, failures } = outcomes
  const counts = [
    `${acceptedCount} ${words.accepted}`,
    ...(droppedCount === 0 ? [] : [`${droppedCount} dropped`]),
    ...(failedCount === 0 ? [] : [`${failedCount} still rejected`]),
    ...(notRepairableCount === 0 ? [] : [`${notRepairableCount} not repairable`]),
  ]
  const why = failures.map(({ reason, path, says, count }) =>
    showText(`  ${count}  ${reason}${path === '' ? '' : ` at ${path}`}: ${says}`),
  )
  return [`${counts.join(', ')}.`, ...why]
}

export function linesOfExample(example: Example, output: Output): readonly string[] {
  const { id, outcome, says, changes } = example
  const lines = changes.flatMap(({ path, before, after }) => [
    ...(before === undefined ? [] : [output.paint('red', showText(`  - ${path} ${before}`))]),
    ...(after === undefined ? [] : [output.paint('green', showText(`  + ${path} ${after}`))]),
  ])
  const why = says === undefined ? '' : `: ${says}`
  return [showText(`${id}  ${outcome}${why}`), ...(lines.length === 0 ? ['  no change'] : lines)]
}
