package localcluster

import "flag"

// Flags binds the configuration to command line flags, with the defaults of
// platform/environments/local.yaml.
func (c *Config) Flags(set *flag.FlagSet) {
	set.StringVar(&c.Checkout, "checkout", "", "folder whose services run here")
	set.StringVar(&c.StateDir, "state", "", "state folder")
	set.StringVar(&c.CacheDir, "cache", "", "cache folder")
	set.StringVar(&c.Account, "account", "000000000000", "account id in ARNs")
	set.StringVar(&c.Region, "region", "us-east-1", "region in ARNs")
	set.IntVar(&c.GatewayPort, "gateway-port", 8080, "port of the services' API")
	set.IntVar(&c.EndpointPort, "endpoint-port", 4510, "port of the AWS protocols and the registry")
	set.IntVar(&c.PostgresPort, "postgres-port", 54510, "port of PostgreSQL")
	set.Float64Var(&c.TracingRatio, "tracing-ratio", 1, "share of requests that the gateway traces, 0 to 1")
	set.IntVar(&c.MeshPort, "mesh-port", 0, "first port of the ways between services; 0 takes 30000")
	set.StringVar(&c.Runtime, "runtime", RuntimeProcess, "what runs tasks: "+RuntimeProcess+" or "+RuntimeDocker)
	set.StringVar(&c.Ferry, "ferry", "", "program that stands beside the tasks of the Docker runtime")
	set.StringVar(&c.Build, "build", "", "identity of this program, for status")
}
