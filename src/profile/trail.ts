/**
 * Where the parts of a person went, so that what is found out later about a part's past finds it.
 *
 * A part has an id: absent where it began and has been ever since, else given when it left there,
 * or when it began where another part of its key had been. Whoever it leaves notes to whom it went,
 * and as what; where it is taken in by a part that is there already, that is noted as well. The
 * newest note leads towards the part, so following them from where it once was ends at it. Pure.
 */

/** Notes of one person; beyond, the oldest is forgotten. */
export const trailCountMax = 40

/** An array, since it is in every head. `toKey` is '' where the part is here, as `toId`. */
export type Passage = [partKey: string, id: string, toKey: string, toId: string]

interface Part {
  readonly key: string
  id?: string
}

interface Holder {
  /** Where parts went that were here, oldest first; absent while none has left. */
  trail?: Passage[]
}

/** `unknown` where its note was forgotten; the id is the one that the part has there. */
export type PartPlace<Found extends Part> =
  | { readonly kind: 'here'; readonly part: Found }
  | { readonly kind: 'elsewhere'; readonly key: string; readonly id: string }
  | { readonly kind: 'unknown' }

/** Notes that a part leaves for `toKey`; it is given `newId` where it has none. */
export function noteLeaving(person: Holder, part: Part, toKey: string, newId: string): void {
  const before = part.id ?? ''
  part.id ??= newId
  note(person, [part.key, before, toKey, part.id])
}

/** Notes that a part was taken in, by `known` where a part of its key was there. */
export function noteArrival(person: Holder, part: Part, known?: Part): void {
  const { key, id = '' } = part
  forget(person, key, id)
  const knownId = known?.id ?? ''
  if (known !== undefined && knownId !== id) note(person, [key, id, '', knownId])
}

/** Notes that a part came, and went on at once. */
export function notePassing(person: Holder, { key, id = '' }: Part, toKey: string): void {
  note(person, [key, id, toKey, id])
}

/** Returns where a part is that is, or was, here as `id`. */
export function followTrail<Found extends Part>(
  { parts, trail = [] }: Holder & { readonly parts: readonly Found[] },
  partKey: string,
  id: string,
): PartPlace<Found> {
  const notes = trail.filter(([key]) => key === partKey)
  let current = id
  // A part that took another in may have left since; each note is met once.
  for (let count = 0; count <= notes.length; count++) {
    const part = parts.find((each) => each.key === partKey && (each.id ?? '') === current)
    if (part !== undefined) return { kind: 'here', part }
    const left = notes.find(([, from]) => from === current)
    // It got the id when it left, so it was not here under it before.
    const [, , toKey, toId] = left ?? notes.find(([, , , to]) => to === current) ?? []
    if (toKey === undefined || toId === undefined) break
    if (toKey !== '') return { kind: 'elsewhere', key: toKey, id: toId }
    current = toId
  }
  return { kind: 'unknown' }
}

function note(person: Holder, passage: Passage): void {
  forget(person, passage[0], passage[1])
  const { trail = [] } = person
  person.trail = [...trail, passage].slice(-trailCountMax)
}

function forget({ trail }: Holder, partKey: string, id: string): void {
  const index = trail?.findIndex(([key, from]) => key === partKey && from === id) ?? -1
  if (index >= 0) trail?.splice(index, 1)
}
