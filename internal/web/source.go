package web

import (
	"context"
	"errors"

	"paceline/internal/api"
	"paceline/internal/app"
)

// source is the daemon, as far as the dashboard may have to do with it. What is not
// here cannot be asked for: to start a command, to end the daemon.
type source interface {
	Version(ctx context.Context) (api.Version, error)
	Instances(ctx context.Context, q api.InstancesQuery) ([]app.Status, error)
	Apps(ctx context.Context, q api.AppsQuery) ([]api.AppInfo, error)
	Stop(ctx context.Context, q api.TargetsRequest) (api.ActionReply, error)
	Restart(ctx context.Context, q api.TargetsRequest) (api.ActionReply, error)
	Reload(ctx context.Context, q api.TargetsRequest, progress func(step string)) (api.ActionReply, error)
	Flush(ctx context.Context, q api.TargetsRequest) (api.ActionReply, error)
	Scale(ctx context.Context, q api.ScaleRequest) (api.ActionReply, error)
	Logs(ctx context.Context, q api.LogsQuery, h api.Handler[api.LogLine]) error
	Events(ctx context.Context, q api.EventsQuery, h api.Handler[app.Event]) error
	History(ctx context.Context, q api.HistoryQuery) (api.History, error)
	Ports(ctx context.Context, q api.PortsQuery) ([]api.Port, error)
	Metrics(ctx context.Context, q api.MetricsQuery) ([]byte, error)
}

// unsupported tells that the daemon is an older one, which cannot do it.
func unsupported(err error) bool {
	e, ok := errors.AsType[*api.Error](err)
	return ok && e.Code == api.CodeUnsupported
}
