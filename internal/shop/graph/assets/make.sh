#!/bin/sh
# Makes the files of others anew from their npm packages: npm pack is all that it needs. The fonts of GraphiQL's styles
# are left out (the page takes the system's), and the links to source maps, which are not here.
set -eu
cd "$(dirname "$0")"
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
get() { # package, version
	mkdir "$packages/$1"
	(cd "$packages" && npm pack --silent "$1@$2" >/dev/null && tar xzf "$1-$2.tgz" -C "$1" --strip-components 1)
}
put() { # file of a package, name here
	sed '/^\/\/# sourceMappingURL=/d; s#/\*\# sourceMappingURL=.*\*/##; s/@font-face{[^}]*}//g' "$packages/$1" | gzip -9 -n >"$2.gz"
}
get react 18.3.1
get react-dom 18.3.1
get graphiql 3.9.0
get graphql-ws 5.16.2
put react/umd/react.production.min.js react.js
put react-dom/umd/react-dom.production.min.js react-dom.js
put graphiql/graphiql.min.js graphiql.js
put graphiql/graphiql.min.css graphiql.css
put graphql-ws/umd/graphql-ws.min.js graphql-ws.js
for package in react react-dom graphiql graphql-ws; do
	echo "$package"
	echo
	cat "$packages/$package"/LICENSE*
	echo
done >LICENSES.txt
