/**
 * A page of a shop that tells Attune what happens on it.
 *
 * It loads the SDK as any shop does; calls before it has come are kept in `attune.calls`. Where the
 * collector is, and which key it is given, the address says: `index.html?collect=...&key=...`.
 */

const address = new URLSearchParams(location.search)
const collectUrl = address.get('collect') ?? 'http://localhost:8080'
const writeKey = address.get('key') ?? 'wk_demo_shop'
const cup = { product_id: '85123A', name: 'A white cup', price: 4.25, quantity: 1, currency: 'GBP' }
const order = { order_id: `web-${Date.now()}`, total: 4.25, currency: 'GBP', products: [cup] }

loadAttune()
tell('page')
tell('productViewed', cup)

for (const button of document.querySelectorAll('[data-call]')) {
  const { call } = button.dataset
  const given = { productAdded: [cup], productRemoved: [cup], checkoutStarted: [order] }[call]
  button.addEventListener('click', () => {
    tell(call, ...(call === 'orderCompleted' ? [order] : (given ?? [])))
    if (button.closest('#consent')) document.getElementById('consent').hidden = true
  })
}

document.getElementById('login').addEventListener('submit', (event) => {
  event.preventDefault()
  const email = new FormData(event.target).get('email')
  // A real shop knows the person by an account number, which never changes.
  tell('identify', email, { email })
})

function loadAttune() {
  window.attune = new Proxy(
    { calls: [] },
    {
      get: ({ calls }, name) =>
        name === 'calls' ? calls : (...given) => calls.push([name, given, Date.now()]),
    },
  )
  const script = document.createElement('script')
  script.src = `${collectUrl}/sdk/v1/attune.js`
  script.async = true
  Object.assign(script.dataset, { writeKey, consent: 'required' })
  document.head.append(script)
}

/** Calls the SDK, and writes it down for whoever looks. */
function tell(name, ...given) {
  window.attune[name](...given)
  const line = document.createElement('li')
  const details = document.createElement('span')
  details.textContent = ` ${given.map((each) => JSON.stringify(each)).join(', ')}`
  line.append(name, details)
  document.getElementById('calls').append(line)
}
