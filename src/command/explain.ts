import { type Command, InvalidArgumentError } from 'commander'
import { partitionOfMessage } from '../campaign/message.ts'
import type { Decision } from '../delivery/evidence.ts'
import {
  type ExplainAnswer,
  type Explained,
  explainMessage,
  type InputChange,
} from '../delivery/explain.ts'
import type { Json } from '../lib/json.ts'
import { createInlineRenderer } from '../template/render-pool.ts'
import { readSecrets } from './data-dir.ts'
import { withDataReader } from './data-reader.ts'
import {
  addDataFlags,
  createOutput,
  type Output,
  type OutputFlags,
  refuseUse,
  showText,
  showTime,
} from './output.ts'

interface ExplainFlags extends OutputFlags {
  readonly show?: boolean
  readonly change?: InputChange
}

interface Found {
  readonly answer: ExplainAnswer
  /** The stored message, where it was asked for. */
  readonly raw?: Uint8Array
}

export function addExplainCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('explain')
    .description('tell why a message was made, and render it again to the byte')
    .argument('<message>', 'id of a message, see `attune messages`', readMessageId)
    .option('--show', 'print the stored message itself')
    .option('--change <path=value>', 'change a stored input first; then it must differ', readChange)
    .addHelpText('after', help)
  addDataFlags(command).action(async (messageId: string, flags: ExplainFlags) => {
    if (flags.show === true && flags.json === true) refuseUse('--show prints no JSON')
    const output = createOutput(flags)
    const { answer, raw } = await findAnswer(messageId, flags)
    exit(answer.kind === 'explained' && answer.isSame ? 0 : 1)
    if (output.isJson) await output.json({ messageId, ...answer })
    else if (answer.kind === 'refused') output.progress(`attune: ${answer.reason}: ${answer.says}`)
    else {
      // With --show the message alone is data, so that it can go into a file.
      const say = async (text: string): Promise<void> => output.progress(text)
      await showExplained(raw === undefined ? output : { ...output, line: say }, messageId, answer)
    }
    if (raw !== undefined) process.stdout.write(raw)
  })
}

async function findAnswer(messageId: string, flags: ExplainFlags): Promise<Found> {
  const secrets = await readSecrets(flags.dataDir)
  const renderer = createInlineRenderer(secrets.signingKeys)
  return await withDataReader(flags, async ({ place, blobs }) => {
    const deps = { place, blobs, render: renderer.render }
    const answer = await explainMessage(deps, messageId, flags.change)
    if (flags.show !== true || answer.kind !== 'explained') return { answer }
    const raw = await blobs.get(answer.rawHash)
    return raw === undefined ? { answer } : { answer, raw }
  })
}

async function showExplained(output: Output, messageId: string, answer: Explained): Promise<void> {
  const { evidence } = answer
  await output.line(output.paint('bold', `${messageId}: ${showText(evidence.subject)}`))
  for (const text of tellDecision(evidence.decision)) await output.line(`  ${showText(text)}`)
  await output.line('')
  await output.line(`stored    ${answer.rawHash}`)
  await output.line(`rendered  ${answer.renderedHash}`)
  if (answer.isSame) {
    await output.line(output.paint('green', 'The same bytes.'))
    return
  }
  const { stored, present } = answer.rendererVersion
  const isOther = stored === present ? '' : ` It was rendered by version ${stored}, now ${present}.`
  await output.line(output.paint('red', `Different bytes.${isOther}`))
  const { difference } = answer
  if (difference === undefined) return
  await output.line(`line ${difference.line}`)
  await output.line(`  - ${showText(difference.stored)}`)
  await output.line(`  + ${showText(difference.rendered)}`)
}

/** Returns the evidence in sentences. */
function tellDecision(decision: Decision): readonly string[] {
  const { trigger, campaign, step, profileAgeMs, freshWithinMs } = decision
  const started =
    trigger.kind === 'event'
      ? `The event ${trigger.name} at ${showTime(trigger.atMs)} (offset ${trigger.offset})`
      : `${trigger.kind === 'segment-exit' ? 'Leaving' : 'Entering'} the segment ` +
        `${trigger.name} at ${showTime(trigger.atMs)}`
  const segments = decision.segments.length === 0 ? 'no segment' : decision.segments.join(', ')
  const age = Math.max(0, Math.round(profileAgeMs))
  const lines = [
    `${started} started ${campaign}; this is its step ${step}.`,
    `It is for ${decision.profileKey}, version ${decision.profileVersion}, in ${segments}.`,
    `Rendered at ${showTime(decision.renderedAtMs)} with data of at most ${age} ms ` +
      `(bound ${freshWithinMs} ms).`,
    `The definitions in force were ${decision.definitionsHash.slice(0, 12)}.`,
  ]
  for (const { itemId, reason, score, slot, weights } of decision.recommendations) {
    const about = reason.itemId ?? reason.category
    const because = about === undefined ? reason.kind : `${reason.kind} ${about}`
    const { algorithm, share = 1 } = reason
    const by = algorithm === undefined ? '' : `, ${Math.round(share * 100)} % by ${algorithm}`
    const where = slot === undefined ? '' : ` in ${slot}`
    const boost = weights?.boost === undefined ? '' : `, boosted by ${weights.boost}`
    lines.push(
      `It recommends ${itemId}${where}: ${because} (${score.toPrecision(3)}${by}${boost}).`,
    )
  }
  return lines
}

function readMessageId(text: string): string {
  if (partitionOfMessage(text) !== undefined) return text
  throw new InvalidArgumentError('An id of a message looks like 0b-Nf3kXyQ0v2mJr8wS1tZaLg.')
}

/** Takes `path=value`; the value is JSON, or else plain text. */
function readChange(text: string): InputChange {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('Give path=value, such as values.shop.name=Other.')
  const value = text.slice(at + 1)
  return { path: text.slice(0, at), value: readJsonOrText(value) }
}

function readJsonOrText(text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch {
    return text
  }
}

const help = `
Example:
  attune explain 0b-Nf3kXyQ0v2mJr8wS1tZaLg --data-dir data
  attune explain 0b-Nf3kXyQ0v2mJr8wS1tZaLg --change values.profile.cart.0.price=1
  attune explain 0b-Nf3kXyQ0v2mJr8wS1tZaLg --show > message.eml

Reads what was stored when the message was handed over, and nothing of today. Exit code 1 where the
bytes differ. A change shows that the comparison can fail; it is not kept.`
