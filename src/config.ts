/**
 * The options of the server, and the only reader of the environment. How file, environment and
 * flags are joined is in `lib/parse-config.ts`; what a value may be is in `lib/option.ts`. The
 * reference pages are printed from `serverTable`.
 */

import { apiTable } from './api/api-options.ts'
import { collectTable } from './collect/collect-options.ts'
import { findStoreFaults, storeTable } from './config-stores.ts'
import { parseAddressList } from './lib/address-list.ts'
import { parseFailpoint } from './lib/failpoint.ts'
import type { OptionTable, OptionValues } from './lib/option.ts'
import {
  type ConfigFault,
  type ConfigInput,
  type ParsedConfig,
  parseConfig,
} from './lib/parse-config.ts'
import { historyTable } from './profile/history-options.ts'
import { recommendTable } from './recommend/recommend-options.ts'
import { renderTable } from './template/render-options.ts'

/** All options of the server. */
export const serverTable = {
  'server.host': {
    kind: 'string',
    default: '127.0.0.1',
    says: 'Address to listen on; 0.0.0.0 for all of this machine.',
  },
  'server.port': {
    kind: 'integer',
    default: 8_080,
    min: 0,
    max: 65_535,
    says: 'Port to listen on; 0 for any free one.',
  },
  'server.role': {
    kind: 'string',
    choices: ['all', 'collect', 'work', 'api'],
    default: 'all',
    says: 'What this process does: take events, fold and deliver, answer the API, or all of it.',
  },
  'server.dataDir': {
    kind: 'path',
    default: '.attune',
    says: 'Folder of secrets and API keys, and of log and state where they are on this machine.',
  },
  'server.publicUrl': {
    kind: 'url',
    schemes: ['https', 'http'],
    says: 'Where links in emails reach this server; https unless loopback. Needed to send.',
  },
  'server.trustedProxies': {
    kind: 'string',
    default: '127.0.0.0/8,::1',
    says: 'Addresses or ranges of proxies whose X-Forwarded-For is believed, with commas.',
  },
  'server.connectionCountMax': {
    kind: 'integer',
    default: 4_096,
    min: 16,
    max: 1_000_000,
    says: 'Connections at a time; one more is closed at once.',
  },
  'server.connectionsPerAddressMax': {
    kind: 'integer',
    default: 256,
    min: 1,
    max: 1_000_000,
    says: 'Connections at a time of one address that is no trusted proxy.',
  },
  'server.definitionsDir': {
    kind: 'path',
    says: 'Folder of definitions that is applied at start when it has changed.',
  },
  'server.stopMsMax': {
    kind: 'durationMs',
    default: 10_000,
    min: 0,
    max: 600_000,
    says: 'Longest time to finish the work in hand after a signal to stop.',
  },
  'delivery.from': {
    kind: 'address',
    says: 'Sender of all messages, unless a template names another. Needed to send.',
  },
  'delivery.smtpUrl': {
    kind: 'url',
    schemes: ['smtp', 'smtps'],
    isSecret: true,
    says: 'The SMTP relay: `smtps://user:password@host:465`, or without user and password.',
  },
  'delivery.connectionCountMax': {
    kind: 'integer',
    default: 8,
    min: 1,
    max: 256,
    says: 'Connections to the relay at a time.',
  },
  'delivery.ratePerSecondMax': {
    kind: 'integer',
    default: 1_000,
    min: 1,
    max: 100_000,
    unit: 'messages per second',
    says: 'Most hand-overs in a second.',
  },
  ...storeTable,
  ...collectTable,
  ...apiTable,
  ...historyTable,
  'process.batchCountMax': {
    kind: 'integer',
    default: 1_000,
    min: 1,
    max: 100_000,
    says: 'Records in one commit of the fold.',
  },
  'process.batchMsMax': {
    kind: 'durationMs',
    default: 20,
    min: 1,
    max: 1_000,
    says: 'Longest time of one batch of the fold before it is committed.',
  },
  'process.handOverMsMax': {
    kind: 'durationMs',
    default: 1_000,
    min: 1,
    max: 60_000,
    says: 'How long a worker that takes a partition waits for its former owner to release it.',
  },
  'process.niceness': {
    kind: 'integer',
    default: 5,
    min: 0,
    max: 19,
    says: 'How far fold, delivery and index give way to intake of the same process. On Linux.',
  },
  'process.yieldLagMsMax': {
    kind: 'durationMs',
    default: 10_000,
    min: 0,
    max: 600_000,
    says: 'Lag up to which the fold stands still now and then while intake is short of cores.',
  },
  ...recommendTable,
  ...renderTable,
  logLevel: {
    kind: 'string',
    choices: ['debug', 'info', 'warn', 'error'],
    default: 'info',
    says: 'Least weight of the log lines that are written.',
  },
} as const satisfies OptionTable

export type ServerValues = OptionValues<typeof serverTable>

/**
 * Variables that are no options: where the configuration file is, the time limit of a test file,
 * and where a test wants the server killed (`lib/failpoint.ts`).
 */
const otherVariables = ['ATTUNE_CONFIG', 'ATTUNE_TEST_FILE_MS', 'ATTUNE_FAILPOINT'] as const

/** Reads the configuration of a server, relations between options included. */
export function parseServerConfig(
  input: Pick<ConfigInput<typeof serverTable>, 'file' | 'environment' | 'flags'>,
): ParsedConfig<typeof serverTable> {
  return parseConfig({ ...input, table: serverTable, otherVariables, relations: serverRelations })
}

function serverRelations(values: ServerValues): readonly ConfigFault[] {
  const faults: ConfigFault[] = []
  const publicUrl = values['server.publicUrl']
  if (publicUrl !== undefined && !isSafePublicUrl(new URL(publicUrl))) {
    const says = 'must be https, without path, query or password; http only for this machine'
    faults.push({ name: 'server.publicUrl', value: JSON.stringify(publicUrl), says })
  }
  const proxies = parseAddressList(values['server.trustedProxies'])
  if (proxies.kind === 'refused') {
    const value = JSON.stringify(values['server.trustedProxies'])
    faults.push({ name: 'server.trustedProxies', value, says: proxies.says })
  }
  const eventBytes = values['collect.eventBytesMax']
  if (eventBytes > values['collect.batchBytesMax']) {
    const says = `must be at most collect.batchBytesMax (${values['collect.batchBytesMax']})`
    faults.push({ name: 'collect.eventBytesMax', value: `${eventBytes}`, says })
  }
  return [...faults, ...findStoreFaults(values)]
}

/** Links in emails are `publicUrl` plus a path, so it must be an origin alone. */
function isSafePublicUrl(url: URL): boolean {
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') return false
  if (url.username !== '' || url.password !== '') return false
  return url.protocol === 'https:' || isLoopback(url.hostname)
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

/** Returns the failpoint that a test armed; undefined in every other use. */
export function armedFailpoint(): string | undefined {
  const text = process.env['ATTUNE_FAILPOINT']
  if (text !== undefined) parseFailpoint(text)
  return text
}

/** Sets variables that are not set, for a library that reads them by itself. */
export function addToEnvironment(variables: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(variables)) process.env[name] ??= value
}

/** Returns the environment of this process. Only `main.ts` and commands ask. */
export function processEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env
}
