// The playground: GraphiQL, the examples as its tabs, and a login that all tabs share.
'use strict';

const tokenKey = 'm3o.shop.token';

const session = {
  get token() { return sessionStorage.getItem(tokenKey) || ''; },
  set token(value) {
    if (value) sessionStorage.setItem(tokenKey, value);
    else sessionStorage.removeItem(tokenKey);
    show();
    watcher.dispose();
    watcher = connect();
  },
};

// connect makes the client of the subscriptions. It opens its WebSocket when the first begins.
function connect() {
  const url = new URL('/graphql', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return graphqlWs.createClient({ url: url.href, connectionParams: () => ({ Authorization: session.token }) });
}

let watcher = connect();

// fetcher sends an operation with the token of the login, unless the tab has a header of its own, and keeps the token
// that a login gives.
async function fetcher(params, options) {
  const headers = { ...options?.headers };
  if (session.token && !Object.keys(headers).some((name) => name.toLowerCase() === 'authorization')) {
    headers.Authorization = session.token;
  }
  const send = GraphiQL.createFetcher({ url: '/graphql', wsClient: watcher, enableIncrementalDelivery: false });
  const answer = await send(params, { ...options, headers });
  const data = answer?.data;
  if (data?.login?.token) session.token = data.login.token;
  if (data?.logout?.success) session.token = '';
  return answer;
}

// address is what the token says of its owner; it is only shown.
function address(token) {
  try {
    const part = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    return JSON.parse(atob(part)).sub || 'somebody';
  } catch {
    return 'somebody';
  }
}

function show() {
  document.getElementById('who').textContent = session.token ? `Logged in as ${address(session.token)}` : 'Not logged in: run Login, and its token is sent along';
  document.getElementById('logout').hidden = !session.token;
}

document.getElementById('logout').addEventListener('click', async () => {
  await fetcher({ query: 'mutation { logout { success } }' }).catch(() => {});
  session.token = '';
});

show();
const examples = JSON.parse(document.getElementById('examples').textContent);
ReactDOM.createRoot(document.getElementById('playground')).render(
  React.createElement(GraphiQL, {
    fetcher,
    defaultTabs: examples.map((query) => ({ query })),
    defaultQuery: '',
    defaultEditorToolsVisibility: false,
  }),
);
