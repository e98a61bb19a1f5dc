// Package postgres runs the embedded cluster's database: a real PostgreSQL
// server on loopback with a database and a role for each service. It takes an
// installed server where there is one and else fetches one, once, into the
// cache. It keeps its data between runs and is no place for data that matters
// beyond one laptop: nothing is replicated or backed up.
package postgres
