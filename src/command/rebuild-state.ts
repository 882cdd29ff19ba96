export async function compareWithRebuild(
  _dataDir: string,
): Promise<{ isEqual: boolean; stateHash: string; rebuildHash: string }> {
  return { isEqual: false, stateHash: 'x', rebuildHash: '' }
}
