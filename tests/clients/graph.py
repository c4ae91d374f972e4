"""Makes the calls of a story with Microsoft's own client for Python, msgraph-beta-sdk, and prints what it made of the answers."""

import asyncio
import json
import sys

from kiota_abstractions.api_error import APIError
from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator, BaseBearerTokenAuthenticationProvider
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_http.middleware.options import RetryHandlerOption
from msgraph_beta import GraphRequestAdapter, GraphServiceClient
from msgraph_beta.generated.device_management.managed_devices.execute_action.execute_action_post_request_body import (
    ExecuteActionPostRequestBody,
)
from msgraph_beta.generated.device_management.managed_devices.item.send_custom_notification_to_company_portal import (
    send_custom_notification_to_company_portal_post_request_body as one,
)
from msgraph_beta.generated.device_management.send_custom_notification_to_company_portal import (
    send_custom_notification_to_company_portal_post_request_body as many,
)
from msgraph_beta.generated.models.managed_device_remote_action import ManagedDeviceRemoteAction


class Token(AccessTokenProvider):
    def __init__(self, token):
        self.token = token

    async def get_authorization_token(self, uri, additional_authentication_context={}):
        return self.token

    def get_allowed_hosts_validator(self):
        return AllowedHostsValidator([])


def client(base, token):
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(Token(token)))
    adapter.base_url = base + "/beta"
    return GraphServiceClient(request_adapter=adapter)


async def call(base, asked):
    management = client(base, asked["token"]).device_management
    # The client would wait for Retry-After by itself; the story wants to see the refusal.
    settings = RequestConfiguration(options=[RetryHandlerOption(max_retries=0)])
    settings.headers.add("client-request-id", asked["requestId"])
    words = {"notification_title": asked["title"], "notification_body": asked["body"]}
    if "groups" in asked:
        body = many.SendCustomNotificationToCompanyPortalPostRequestBody(groups_to_notify=asked["groups"], **words)
        return await management.send_custom_notification_to_company_portal.post(body, request_configuration=settings)
    if "device" in asked:
        body = one.SendCustomNotificationToCompanyPortalPostRequestBody(**words)
        device = management.managed_devices.by_managed_device_id(asked["device"])
        return await device.send_custom_notification_to_company_portal.post(body, request_configuration=settings)
    body = ExecuteActionPostRequestBody(
        action_name=ManagedDeviceRemoteAction.CustomTextNotification, device_ids=asked["devices"], **words
    )
    return await management.managed_devices.execute_action.post(body, request_configuration=settings)


async def told(base, asked):
    try:
        made = await call(base, asked)
    except APIError as refused:
        error = refused.error
        return {
            "status": refused.response_status_code,
            "code": error.code,
            "message": error.message,
            "target": error.target,
            "inner": error.inner_error.additional_data.get("code"),
            "date": error.inner_error.date.isoformat(),
            "requestId": error.inner_error.request_id,
            "clientRequestId": error.inner_error.client_request_id,
            "retryAfter": refused.response_headers.get("retry-after"),
        }
    if made is None:
        return {"done": True}
    return {
        "successful": made.successful_device_ids,
        "failed": made.failed_device_ids,
        "notFound": made.not_found_device_ids,
        "notSupported": made.not_supported_device_ids,
    }


async def main():
    story = json.load(sys.stdin)
    print(json.dumps([await told(story["base"], asked) for asked in story["calls"]]))


asyncio.run(main())
