/**
 * Email addresses, by our own strict grammar: one `local@domain` in ASCII and nothing else.
 *
 * Mail libraries accept far more (quoted locals, comments, lists, line ends), and what they accept
 * can reach an SMTP envelope as a second recipient. Whatever passes here holds no character that
 * means something to SMTP or to a header.
 */

const addressCharactersMax = 254
const localCharactersMax = 64
const labelCharactersMax = 63
const displayNameCharactersMax = 200

export type AddressRefusal =
  | 'not-text'
  | 'empty'
  | 'too-long'
  | 'not-ascii'
  | 'control-character'
  | 'bad-local'
  | 'bad-domain'

export type ParsedAddress =
  | {
      readonly kind: 'address'
      /** Local part as given, domain in lower case. */
      readonly address: string
    }
  | { readonly kind: 'refused'; readonly reason: AddressRefusal }

export type ParsedMailbox =
  | { readonly kind: 'mailbox'; readonly name: string; readonly address: string }
  | { readonly kind: 'refused'; readonly reason: AddressRefusal }

/** Reads one bare address. */
export function parseAddress(input: unknown): ParsedAddress {
  if (typeof input !== 'string') return refuse('not-text')
  if (input.length === 0) return refuse('empty')
  if (input.length > addressCharactersMax) return refuse('too-long')
  if (/\p{Cc}/u.test(input)) return refuse('control-character')
  if (!/^[ -~]*$/.test(input)) return refuse('not-ascii')

  const at = input.lastIndexOf('@')
  const local = input.slice(0, Math.max(at, 0))
  if (!isLocal(local)) return refuse('bad-local')
  const domain = input.slice(at + 1).toLowerCase()
  if (!isDomain(domain)) return refuse('bad-domain')
  return { kind: 'address', address: `${local}@${domain}` }
}

/** Reads `address` or `Display Name <address>`, for senders that an operator configures. */
export function parseMailbox(input: unknown): ParsedMailbox {
  if (typeof input !== 'string') return refuse('not-text')
  if (/\p{Cc}/u.test(input)) return refuse('control-character')
  const open = input.indexOf('<')
  const isNamed = open >= 0 && input.endsWith('>')
  const parsed = parseAddress(isNamed ? input.slice(open + 1, -1) : input)
  if (parsed.kind === 'refused') return parsed
  const quoted = isNamed ? input.slice(0, open).trim() : ''
  const name = /^".*"$/.test(quoted) ? quoted.slice(1, -1) : quoted
  if (name.length > displayNameCharactersMax) return refuse('too-long')
  return { kind: 'mailbox', name: name.toWellFormed(), address: parsed.address }
}

/**
 * Returns the form under which an address is suppressed: in practice no provider tells cases
 * apart.
 */
export function normalizeAddress(address: string): string {
  return address.toLowerCase()
}

function isLocal(local: string): boolean {
  if (local.length === 0 || local.length > localCharactersMax) return false
  return local.split('.').every((atom) => /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+$/.test(atom))
}

/**
 * Two labels or more, the last not a number, so that `localhost` and IP addresses are no domains.
 */
function isDomain(domain: string): boolean {
  const labels = domain.split('.')
  const last = labels.at(-1) ?? ''
  return labels.length >= 2 && labels.every(isLabel) && !/^\d+$/.test(last)
}

function isLabel(label: string): boolean {
  return label.length <= labelCharactersMax && /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(label)
}

function refuse(reason: AddressRefusal): {
  readonly kind: 'refused'
  readonly reason: AddressRefusal
} {
  return { kind: 'refused', reason }
}
