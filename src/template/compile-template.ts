/**
 * Makes a `Template` from its files, when definitions are applied: MJML becomes HTML once, Liquid
 * inside it stays.
 *
 * Everything that can be known without a person's values is refused here, with file and line, so
 * that a send only fails for what its values bring: sizes, nesting, Liquid syntax, unknown
 * filters, MJML faults, Liquid that MJML would lose, Liquid where escaping cannot protect, a
 * missing unsubscribe link.
 *
 * MJML is loaded by the first call; whoever only renders never pays for it.
 */

import { findUnsafeLiquid } from './html-links.ts'
import { createLiquidEngine, type LiquidEngine } from './liquid-engine.ts'
import type { Template, TemplateSource } from './template.ts'

const sourceBytesMax = 100 * 1024
const htmlBytesMax = 512 * 1024
/**
 * MJML and HTML elements inside each other; MJML recurses and overflows the stack at some
 * thousands.
 */
const nestingCountMax = 100
const faultCountMax = 50

const mjmlFile = 'template.mjml'
const subjectFile = 'subject.liquid'
const textFile = 'text.liquid'

/** Elements that have no end tag. */
const voidTags = new Set(
  'area base br col embed hr img input link meta param source track wbr'.split(' '),
)

export interface TemplateFault {
  readonly file: string
  readonly line?: number
  readonly says: string
}

export type CompiledTemplate =
  | { readonly kind: 'compiled'; readonly template: Template }
  | { readonly kind: 'refused'; readonly faults: readonly TemplateFault[] }

/** Compiles one template, or returns all faults that were found. */
export async function compileTemplate(source: TemplateSource): Promise<CompiledTemplate> {
  const faults = checkSources(source)
  if (faults.length > 0) return refuse(faults)

  const compiled = await compileMjml(source.mjml)
  if (compiled.faults.length > 0) return refuse(compiled.faults)
  const html = squeeze(compiled.html)
  const htmlFaults = checkHtml(source.mjml, html)
  if (htmlFaults.length > 0) return refuse(htmlFaults)
  const text = source.text ?? null
  return {
    kind: 'compiled',
    template: { name: source.name, html, subject: source.subject.trim(), text },
  }
}

function refuse(faults: readonly TemplateFault[]): CompiledTemplate {
  return { kind: 'refused', faults: faults.slice(0, faultCountMax) }
}

function checkSources(source: TemplateSource): readonly TemplateFault[] {
  const htmlEngine = createLiquidEngine('html')
  const textEngine = createLiquidEngine('text')
  const faults: TemplateFault[] = [
    ...checkSource(htmlEngine, mjmlFile, source.mjml),
    ...checkSource(textEngine, subjectFile, source.subject),
    ...(source.text === undefined ? [] : checkSource(textEngine, textFile, source.text)),
  ]
  if (source.subject.trim() === '') faults.push({ file: subjectFile, says: 'the subject is empty' })
  const deepLine = findDeepLine(source.mjml)
  if (deepLine !== undefined) {
    const says = `elements nested over ${nestingCountMax} deep`
    faults.push({ file: mjmlFile, line: deepLine, says })
  }
  const includeAt = source.mjml.search(/<mj-include\b/i)
  if (includeAt >= 0) {
    const says = 'mj-include is off: a template is whole in its file'
    faults.push({ file: mjmlFile, line: lineAt(source.mjml, includeAt), says })
  }
  return faults
}

function checkSource(engine: LiquidEngine, file: string, text: string): TemplateFault[] {
  if (Buffer.byteLength(text) > sourceBytesMax) {
    return [{ file, says: `over ${sourceBytesMax} bytes` }]
  }
  return engine.check(text).map((fault) => ({ file, ...fault }))
}

/** Returns the line of the first element that is nested too deep. Counts; does not match names. */
function findDeepLine(mjml: string): number | undefined {
  let depth = 0
  for (const match of mjml.matchAll(/<(\/?)([a-zA-Z][a-zA-Z0-9-]{0,40})/g)) {
    const [, slash, name = ''] = match
    if (voidTags.has(name.toLowerCase())) continue
    if (slash === '/') {
      depth -= 1
      continue
    }
    const end = mjml.indexOf('>', match.index)
    if (end > 0 && mjml[end - 1] === '/') continue
    depth += 1
    if (depth > nestingCountMax) return lineAt(mjml, match.index)
  }
  return undefined
}

async function compileMjml(
  mjml: string,
): Promise<{ readonly html: string; readonly faults: readonly TemplateFault[] }> {
  const { default: mjml2html } = await import('mjml')
  try {
    const { html, errors } = await mjml2html(mjml, {
      validationLevel: 'soft',
      ignoreIncludes: true,
      keepComments: false,
      fonts: {},
    })
    const faults = errors.map(({ line, message }) => ({ file: mjmlFile, line, says: message }))
    return { html, faults }
  } catch (error) {
    // MJML throws for what is no MJML at all; what it says is for the author of the file.
    const says = error instanceof Error ? error.message.slice(0, 300) : 'not MJML'
    return { html: '', faults: [{ file: mjmlFile, says }] }
  }
}

/** Takes out the indentation that MJML makes: a third of the bytes of each message. */
function squeeze(html: string): string {
  if (/<(?:pre|textarea)\b/i.test(html)) return html
  return html
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n')
}

function checkHtml(mjml: string, html: string): readonly TemplateFault[] {
  if (Buffer.byteLength(html) > htmlBytesMax) {
    return [{ file: mjmlFile, says: `over ${htmlBytesMax} bytes when compiled` }]
  }
  const faults: TemplateFault[] = [...findLostLiquid(mjml, html)]
  for (const says of findUnsafeLiquid(html)) faults.push({ file: mjmlFile, says })
  for (const { says } of createLiquidEngine('html').check(html)) {
    faults.push({ file: mjmlFile, says: `once compiled: ${says}` })
  }
  if (!/\{\{-?\s{0,9}unsubscribe_url\b/.test(html)) {
    faults.push({ file: mjmlFile, says: 'no unsubscribe link: add href="{{ unsubscribe_url }}"' })
  }
  return faults
}

/**
 * MJML drops text that stands between its elements, and with it a loop or a condition, without a
 * word.
 */
function findLostLiquid(mjml: string, html: string): readonly TemplateFault[] {
  const faults: TemplateFault[] = []
  const source = withoutComments(mjml)
  const pattern = /\{\{[^}]{0,2000}\}\}|\{%[^%]{0,2000}%\}/g
  const kept = new Map<string, number>()
  for (const [token] of html.matchAll(pattern)) {
    const key = plain(token)
    kept.set(key, (kept.get(key) ?? 0) + 1)
  }
  for (const match of source.matchAll(pattern)) {
    const key = plain(match[0])
    const count = kept.get(key) ?? 0
    kept.set(key, count - 1)
    if (count > 0) continue
    const says = `MJML would lose ${match[0].slice(0, 60)}: put it inside <mj-raw> or <mj-text>`
    faults.push({ file: mjmlFile, line: lineAt(source, match.index), says })
  }
  return faults
}

/** Blanks comments out, line ends kept, so that places stay the same. */
function withoutComments(mjml: string): string {
  let output = ''
  let copied = 0
  let at = mjml.indexOf('<!--')
  while (at >= 0) {
    const close = mjml.indexOf('-->', at)
    const end = close < 0 ? mjml.length : close + 3
    output += mjml.slice(copied, at) + mjml.slice(at, end).replace(/[^\n]/g, ' ')
    copied = end
    at = mjml.indexOf('<!--', end)
  }
  return output + mjml.slice(copied)
}

/** MJML may change blanks and entities on the way. */
function plain(token: string): string {
  return token.replaceAll('&quot;', '"').replaceAll('&amp;', '&').replace(/\s+/g, '')
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}
