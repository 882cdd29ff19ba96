import type { JsonObject } from '../lib/json.ts'

export interface DefinitionFault {
  /** JSON pointer into the definition. */
  readonly path: string
  readonly says: string
}

/** Adds a fault for each name of `input` that is not among `known`. */
export function refuseUnknown(
  input: JsonObject,
  known: readonly string[],
  at: { readonly path: string; readonly faults: DefinitionFault[] },
): void {
  for (const name of Object.keys(input)) {
    if (known.includes(name)) continue
    const says = `Unknown name; known are ${known.join(', ')}.`
    at.faults.push({ path: `${at.path}/${name}`, says })
  }
}
