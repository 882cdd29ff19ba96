/** Lists of network addresses, as an operator writes them. */

import { BlockList, isIP } from 'node:net'

export type ParsedAddressList =
  | { readonly kind: 'list'; readonly has: (address: string | undefined) => boolean }
  | { readonly kind: 'refused'; readonly says: string }

const entryCountMax = 1_000

/**
 * Takes addresses and ranges in CIDR form (`10.0.0.0/8, ::1`), separated by commas. IPv4 within
 * IPv6 (`::ffff:10.0.0.1`) is found as IPv4.
 */
export function parseAddressList(text: string): ParsedAddressList {
  const entries = text.split(',').map((entry) => entry.trim())
  if (entries.length > entryCountMax) {
    return { kind: 'refused', says: `has more than ${entryCountMax} entries` }
  }
  const list = new BlockList()
  for (const entry of entries.filter((each) => each !== '')) {
    const [address = '', bits, ...more] = entry.split('/')
    const version = isIP(address)
    const bitsMax = version === 4 ? 32 : 128
    const isSound = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax)
    if (version === 0 || more.length > 0 || !isSound) {
      return { kind: 'refused', says: `"${entry}" is no address and no range such as 10.0.0.0/8` }
    }
    list.addSubnet(address, Number(bits ?? bitsMax), version === 4 ? 'ipv4' : 'ipv6')
  }
  const has = (address: string | undefined): boolean => {
    const bare = plainAddress(address)
    return bare !== undefined && list.check(bare, isIP(bare) === 4 ? 'ipv4' : 'ipv6')
  }
  return { kind: 'list', has }
}

const mappedPattern = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** Returns an address without zone, IPv4 in its own form; undefined for what is none. */
export function plainAddress(text: string | undefined): string | undefined {
  const bare = text?.trim().replace(/%.*$/, '') ?? ''
  const address = mappedPattern.exec(bare)?.[1] ?? bare
  return isIP(address) === 0 ? undefined : address
}
