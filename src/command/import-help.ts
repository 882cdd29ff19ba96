/** What `attune import --help` teaches. */
export const importHelp = `
Formats:
  csv         columns named as in our events: userId,event,timestamp,properties.price,traits.email;
              others by --map
  ndjson      one event per line, as Segment's calls have them
  nginx       access log in the combined format; apache: common or combined
  json-lines  access log as JSON, with the names of nginx's variables, or those of --map
  items-csv   a catalog: itemId,name,price,stockCount,category,... or Google's product feed
  items-ndjson  a catalog, one item per line as the API takes them
  singer      what a Singer tap writes: tap | attune import - --format singer > state.json

Examples:
  attune import orders.csv.gz --format csv --data-dir data --dry-run
  attune import orders.csv.gz --format csv --data-dir data
  attune import crm.csv --format csv --map crm.yaml --data-dir data --source crm
  attune import /var/log/nginx/access.log --format nginx --map paths.yaml --follow \\
    --url http://127.0.0.1:8080 --write-key wk_web --state /var/lib/attune/nginx.sqlite
  attune import catalog.csv --format items-csv --data-dir data
  attune import feed.tsv --format items-csv --url https://api.shop.example --api-key atk_...
  zcat events-*.ndjson.gz | attune import - --format ndjson --url https://in.shop.example \\
    --write-key wk_history

A definition (--map) for a log:
  anonymousId: uid                    # a field that names the visitor, here one behind the format
  extraFields: [uid]
  rules:
    - {path: /products/:id, event: Product Viewed, properties: {product_id: ":id"}}
    - {path: /cart/add, method: POST, event: Product Added, properties: {product_id: "?sku"}}
    - {path: /health, drop: true}

A definition for CSV:
  columns: {CustomerID: userId, InvoiceDate: timestamp, UnitPrice: properties.price}
  set: {event: Order Completed, properties.currency: GBP}
  timestamps: day-first
  others: drop

Events are of the past and trigger nothing, unless --live. A run that was stopped or killed goes on
where it was; a file that was imported is not imported again, whatever its name is by then.
Exit code 0: done. 1: some rows were refused (shown by place, and kept: attune events --rejected),
or it was stopped or failed. 2: wrong use.`
