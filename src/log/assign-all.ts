/** Yields all partitions, once, and ends when `signal` aborts: nobody else shares them. */
export async function* assignAll(
  partitionCount: number,
  signal: AbortSignal,
): AsyncGenerator<readonly number[]> {
  if (signal.aborted) return
  yield Array.from({ length: partitionCount }, (_, partition) => partition)
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
