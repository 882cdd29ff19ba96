import { sha256Hex } from '../src/lib/hash.ts'
import {
  type CompiledDefinitions,
  compileDefinitions,
  emptyDocument,
  encodeDocument,
} from '../src/process/definitions.ts'

/**
 * Rules of which most events touch some: of the segments a fifth looks at a computed trait, a fifth
 * at views; of the traits, of all kinds, half count views, most in a window.
 */
export function makeRules(segmentCount: number, traitCount: number): CompiledDefinitions {
  const kinds = ['count', 'sum', 'average', 'max', 'last', 'list', 'uniqueCount', 'mostFrequent']
  const traits = Array.from({ length: traitCount }, (_, index) => {
    const kind = kinds[index % kinds.length] ?? 'count'
    const isValue = ['sum', 'average', 'max'].includes(kind)
    const event =
      index % 2 === 0 ? 'Product Viewed' : ['Order Completed', 'Product Added'][index % 3]
    return {
      name: `t${index}`,
      content: {
        kind,
        event: event ?? 'Product Removed',
        ...(kind === 'count' ? {} : { of: isValue ? 'price' : 'product_id' }),
        ...(kind === 'list' ? { length: 5 } : {}),
        ...(index % 3 === 0 ? {} : { within: `${1 + index}d` }),
      },
    }
  })
  const segments = Array.from({ length: segmentCount }, (_, index) => {
    const names = ['Product Viewed', 'Order Completed', 'Product Added', 'Cart Viewed']
    const event = { event: names[index % 5] ?? 'Email Opened', count: { atLeast: 3 }, within: '7d' }
    // Those of all time, of 9 and of 17 days count views.
    const trait = { trait: `t${(Math.floor(index / 5) % 3) * 8}`, atLeast: index }
    return { name: `s${index}`, content: index % 5 === 4 && traitCount > 0 ? trait : event }
  })
  const document = { ...emptyDocument, traits, segments }
  const compiled = compileDefinitions(document, sha256Hex(encodeDocument(document)))
  if (compiled.kind === 'refused') throw new Error(JSON.stringify(compiled.faults))
  return compiled.definitions
}
