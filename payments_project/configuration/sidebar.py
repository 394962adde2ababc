"""Configure the admin's looks. Source: https://unfoldadmin.com/docs/configuration/settings/."""

from typing import Any

from django.urls import reverse_lazy


def _page(title: str, icon: str, model: str) -> dict[str, Any]:
    """Return a link of the sidebar, shown to staff with permission to view the model."""
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{name}"),
    }


def unfold_of(*, prefix: str) -> dict[str, Any]:
    """Return the setting UNFOLD. `prefix` is the path of PUBLIC_URL, without a slash at its end."""
    return {
        "SITE_TITLE": "Payments",
        "SITE_HEADER": "Payments",
        "SITE_SUBHEADER": "Payment notification service",
        "SITE_SYMBOL": "payments",
        "SITE_URL": f"{prefix}/",
        "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": f"{prefix}/static/icon.svg"}],
        "LOGIN": {"form": "access.staff.login_form.LoginForm"},
        "SHOW_VIEW_ON_SITE": False,
        "DASHBOARD_CALLBACK": "payments.admin.dashboard.dashboard",
        "SIDEBAR": {
            "navigation": [
                {
                    "title": "Payments",
                    "items": [
                        _page("Payments", "payments", "payments.payment"),
                        _page("Webhook events", "webhook", "payments.webhookevent"),
                    ],
                },
                {
                    "title": "Notifications",
                    "items": [
                        _page("Feeds", "rss_feed", "notifications.feed"),
                        _page("Notifications", "notifications", "notifications.notification"),
                    ],
                },
                {
                    "title": "Access",
                    "items": [
                        _page("API keys", "key", "access.apikey"),
                        _page("Users", "person", "auth.user"),
                        _page("Groups", "group", "auth.group"),
                    ],
                },
            ]
        },
    }
