import type { Command } from 'commander'
import {
  type Message,
  type MessageStateKind,
  messageInputs,
  messagePrefix,
} from '../campaign/message.ts'
import { decodeJson } from '../process/meta.ts'
import { type DataReader, withDataReader } from './data-reader.ts'
import {
  addDataFlags,
  createOutput,
  type Output,
  type OutputFlags,
  readChoice,
  readId,
  readWhole,
  showText,
  showTime,
} from './output.ts'

interface MessageFlags extends OutputFlags {
  readonly campaign?: string
  readonly state?: MessageStateKind
  readonly person?: string
  readonly count?: number
}

const stateKinds = Object.keys(messageInputs) as readonly MessageStateKind[]
const scanCount = 500

export function addMessagesCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('messages')
    .description('list messages: to whom, by which campaign, what became of them')
    .option('--campaign <name>', 'only those of a campaign', readId)
    .option('--state <state>', stateKinds.join(', '), readChoice(stateKinds))
    .option('--person <key>', 'only those to user:ID or anonymous:ID', readId)
    .option('-n, --count <count>', 'show so many and end', readWhole(1))
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: MessageFlags) => {
    const output = createOutput(flags)
    const counts = new Map<string, number>()
    await withDataReader(flags, async (data) => {
      let left = flags.count ?? Number.POSITIVE_INFINITY
      for await (const message of scanMessages(data)) {
        if (!isWanted(message, flags)) continue
        const { kind } = message.state
        counts.set(kind, (counts.get(kind) ?? 0) + 1)
        await (output.isJson ? output.json(message) : output.line(formatMessage(message, output)))
        left--
        if (left === 0) return
      }
    })
    exit(0)
    const sums = [...counts].map(([kind, count]) => `${count} ${kind}`)
    if (!output.isJson) output.progress(sums.length === 0 ? 'No messages.' : sums.join(', '))
  })
}

/** Yields all messages, partition by partition, without holding them. */
export async function* scanMessages(
  data: Pick<DataReader, 'state' | 'place'>,
): AsyncGenerator<Message> {
  for (let partition = 0; partition < data.place.partitionCount; partition++) {
    for (let after = ''; ; ) {
      const page = await data.state.scan(partition, messagePrefix, after, scanCount)
      for (const { value } of page) yield decodeJson<Message>(value)
      const last = page.at(-1)
      if (last === undefined) break
      after = last.key
    }
  }
}

function isWanted(message: Message, { campaign, state, person }: MessageFlags): boolean {
  if (campaign !== undefined && message.campaign !== campaign) return false
  if (person !== undefined && message.personKey !== person) return false
  return state === undefined || message.state.kind === state
}

function formatMessage(message: Message, output: Output): string {
  const { messageId, campaign, personKey, state, dueAtMs, outcomes } = message
  const colour = state.kind === 'accepted' ? 'green' : state.kind === 'failed' ? 'red' : 'yellow'
  const after = Object.keys(outcomes).join(' ')
  const person = showText(personKey).padEnd(28)
  const kind = output.paint(colour, state.kind.padEnd(8))
  const why = 'reason' in state ? state.reason : 'says' in state ? showText(state.says) : ''
  const parts = [showTime(dueAtMs), messageId, campaign.padEnd(16), person, kind, after || why]
  return parts.join('  ').trimEnd()
}

const help = `
Example:
  attune messages --campaign cart-reminder --state unknown --data-dir data

Each line: when due, id, campaign, person, state, and outcomes or the reason. \`attune explain ID\`
tells why a message was made. Works while the server runs.`
