/** Names for simulated shoppers. Any likeness to a person is chance. */

const firstNames = (
  'Amelia Oliver Isla George Ava Noah Grace Arthur Freya Leo Florence Harry Willow Oscar ' +
  'Rosie Theo Evie Jack Poppy Henry Ivy Thomas Daisy James Elsie Lucas Alice Finley Nadia ' +
  'Omar Priya Arjun Leila Mateusz Zofia Chidi Ngozi Mei Hassan Siobhan'
).split(' ')
const lastNames = (
  'Hughes Bennett Clarke Patel Morgan Fletcher Walsh Ahmed Barker Coleman Doyle Ellis Fraser ' +
  'Gibson Holt Iqbal Jennings Kaur Lambert Murray Nolan Okafor Parsons Quinn Reid Sutton ' +
  'Turner Underwood Vaughan Webb Young Ashworth Booth Carver Dalton Eastwood Frost Greenwood ' +
  'Hartley Marsh'
).split(' ')

/** Returns the name and the address of shopper number `index`; no two have the same address. */
export function shopperName(index: number): { readonly name: string; readonly email: string } {
  const first = firstNames[index % firstNames.length] ?? ''
  // Steps of the second list differ in each round of the first, so that names repeat late.
  const turn = Math.floor(index / firstNames.length)
  const last = lastNames[(index * 7 + turn * 3) % lastNames.length] ?? ''
  return {
    name: `${first} ${last}`,
    email: `${first}.${last}.${index}@shopper.example`.toLowerCase(),
  }
}
